"""Sends the gauge my_metric, a random whole number from 0 to 1000.

Only conf.d/my_metric.yaml sets how often it runs and with which tags.
"""

import random

from datadog_checks.base import AgentCheck

__version__ = "1.0.0"


class MyMetric(AgentCheck):
    def check(self, instance):
        self.gauge("my_metric", random.randint(0, 1000), tags=instance.get("tags", []))
