"""Runs a custom check of the Agent, once for each line on standard input.

The first line is the check: its name, source, configuration. For each further line the
check runs, and a line with what it sent goes to standard output. The process ends when
standard input does, also while the check runs.

Only the Agent contains datadog_checks.base. Here is a small stand-in.
"""

import copy
import json
import logging
import math
import os
import queue
import signal
import sys
import threading
import time
import traceback
import types

# An interrupt at the terminal is for the program that started this one.
signal.signal(signal.SIGINT, signal.SIG_IGN)
# All processes that the check starts are in this group, so that they end together.
if hasattr(os, "setpgid"):
    os.setpgid(0, 0)
# What the check or its processes print must not get between the answers.
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)


class ConfigurationError(Exception):
    pass


class AgentCheck(object):
    OK, WARNING, CRITICAL, UNKNOWN = 0, 1, 2, 3

    def __init__(self, name="", init_config=None, instances=None):
        self.name, self.init_config, self.instances = name, init_config or {}, instances or []
        self.instance = self.instances[0] if self.instances else None
        self.log = logging.getLogger(name)

    def check(self, instance):
        raise NotImplementedError("the check has no method check")

    def gauge(self, name, value, tags=None, hostname=None, device_name=None, raw=False):
        send("g", name, value, tags, hostname)

    def count(self, name, value, tags=None, hostname=None, device_name=None, raw=False):
        send("c", name, value, tags, hostname)

    def histogram(self, name, value, tags=None, hostname=None, device_name=None, raw=False):
        send("h", name, value, tags, hostname)

    def distribution(self, name, value, tags=None, hostname=None, device_name=None, raw=False):
        send("d", name, value, tags, hostname)

    def rate(self, name, value, tags=None, hostname=None, device_name=None, raw=False):
        grown, seconds = growth("rate", name, value, tags, hostname)
        if grown is not None and seconds > 0:
            send("g", name, grown / seconds, tags, hostname)

    def monotonic_count(self, name, value, tags=None, hostname=None, device_name=None, raw=False, flush_first_value=False):
        grown, _ = growth("count", name, value, tags, hostname)
        if grown is not None:
            send("c", name, grown, tags, hostname)
        elif flush_first_value:
            send("c", name, value, tags, hostname)

    def service_check(self, name, status, tags=None, hostname=None, message=None, raw=False):
        sent["checks"].append({
            "name": name, "status": int(status), "tags": texts(tags), "host": hostname or "", "message": message or "",
        })

    def warning(self, text, *args, **kwargs):
        sent["warnings"].append(str(text) % args if args else str(text))


def texts(tags):
    return [tag.decode() if isinstance(tag, bytes) else str(tag) for tag in tags or []]


def send(kind, name, value, tags, hostname):
    value = float(value)
    if not math.isfinite(value):
        raise ValueError("the value of %s must be finite, got %s" % (name, value))
    sent["metrics"].append({"type": kind, "name": str(name), "value": value, "tags": texts(tags), "host": hostname or ""})


def growth(kind, name, value, tags, hostname):
    """Returns the growth of a counter since the last run and the seconds between. The
    growth is None for the first value, and after the counter fell."""
    key, now = (kind, name, tuple(sorted(texts(tags))), hostname), time.monotonic()
    before, at = before_of.get(key, (None, now))
    before_of[key] = (float(value), now)
    return (None, 0) if before is None or value < before else (value - before, now - at)


def load(given):
    base = types.ModuleType("datadog_checks.base")
    base.AgentCheck, base.ConfigurationError = AgentCheck, ConfigurationError
    base.is_affirmative = lambda v: v is not None and str(v).lower() in ("yes", "true", "1", "y", "on")
    package = types.ModuleType("datadog_checks")
    package.base = base
    # Checks for old Agents import the base class from checks.
    sys.modules.update({"datadog_checks": package, "datadog_checks.base": base, "checks": base})
    module = types.ModuleType(given["name"])
    module.__file__ = given["file"]
    sys.modules[given["name"]] = module
    exec(compile(given["source"], given["file"], "exec"), module.__dict__)
    # Like the Agent: the class that extends AgentCheck and that no other one extends.
    found = [v for v in vars(module).values() if isinstance(v, type) and issubclass(v, AgentCheck) and v is not AgentCheck]
    found = [v for v in found if not any(other is not v and issubclass(other, v) for other in found)]
    if len(found) != 1:
        raise ConfigurationError("%s must have one class that extends AgentCheck, got %d" % (given["file"], len(found)))
    return found[0](given["name"], given["init_config"], [given["instance"]])


def line_of(e, file):
    """Returns the line of the check where an error arose, or 0."""
    if isinstance(e, SyntaxError) and e.filename == file:
        return e.lineno or 0
    return ([0] + [f.lineno for f in traceback.extract_tb(e.__traceback__) if f.filename == file])[-1]


def read():
    for line in sys.stdin.buffer:  # UTF-8, whatever the locale is
        lines.put(line)
    if hasattr(os, "killpg"):
        os.killpg(0, signal.SIGKILL)
    os._exit(0)


lines, before_of, check = queue.Queue(), {}, None
threading.Thread(target=read, daemon=True).start()
given = json.loads(lines.get())
while True:
    lines.get()
    sent = {"metrics": [], "checks": [], "warnings": [], "error": "", "line": 0}
    try:
        if check is None:
            check = load(given)
        check.check(copy.deepcopy(given["instance"]))
    except BaseException as e:
        sent["error"] = traceback.format_exception_only(type(e), e)[-1].strip()
        sent["line"] = line_of(e, given["file"])
    answers.write(json.dumps(sent) + "\n")
    answers.flush()
