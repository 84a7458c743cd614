"""Runs a custom check a number of times and prints what it sends, as JSON.

Only the Agent contains its base class for checks. The AgentCheck here replaces it: it
has the arguments, attributes and gauge() that the Agent documents for custom checks,
and nothing else. It sends nothing.

usage: run_check.py CHECK.py RUNS < instance.json
"""

import importlib.util
import inspect
import json
import sys
import types

sent = []


class AgentCheck:
    def __init__(self, name, init_config, instances):
        self.name, self.init_config, self.instances = name, init_config, instances

    def gauge(self, name, value, tags=None, hostname=None, device_name=None, raw=False):
        sent.append({"kind": "gauge", "name": name, "value": float(value), "tags": list(tags or [])})


base = types.ModuleType("datadog_checks.base")
base.AgentCheck = AgentCheck
package = types.ModuleType("datadog_checks")
package.base = base
sys.modules.update({"datadog_checks": package, "datadog_checks.base": base})

path, runs = sys.argv[1], int(sys.argv[2])
instance = json.load(sys.stdin)
spec = importlib.util.spec_from_file_location("my_metric", path)
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
# Like the Agent: the only class in the file that extends AgentCheck.
(check,) = [
    value
    for value in vars(module).values()
    if inspect.isclass(value) and issubclass(value, AgentCheck) and value is not AgentCheck
]
running = check("my_metric", {}, [instance])
for _ in range(runs):
    running.check(instance)
json.dump(sent, sys.stdout)
