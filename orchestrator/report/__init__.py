"""What a run gave as a whole, from its folded events."""

from orchestrator.report.making import report_of
from orchestrator.report.run import Forecast, RunReport
from orchestrator.report.standing import Standing, ordered

__all__ = ["Forecast", "RunReport", "Standing", "ordered", "report_of"]
