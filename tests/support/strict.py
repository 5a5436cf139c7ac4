"""With CI=true a run proves something: a test that was skipped, or a run without tests, makes it fail."""

import os

import pytest

IN_CI = os.environ.get("CI", "").lower() in {"1", "true", "yes"}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print which tests were skipped, and that a skip is a failure."""
    if IN_CI and (skipped := terminalreporter.stats.get("skipped", [])):
        terminalreporter.section("skipped tests are failures here (CI=true)", red=True)
        for report in skipped:
            terminalreporter.line(f"{report.nodeid}: {report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr}")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail a run that was green for the wrong reason."""
    if not IN_CI or exitstatus != pytest.ExitCode.OK or hasattr(session.config, "workerinput"):
        return
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and (reporter.stats.get("skipped") or not reporter.stats.get("passed")):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
