"""Results for people: an HTML file that needs nothing else, and a table on the terminal."""

from loadtest.harness.report.page import write_html
from loadtest.harness.report.terminal import summary

__all__ = ["summary", "write_html"]
