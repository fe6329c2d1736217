"""Slack: threads and days of channels, readers by channel membership, kept fresh by the Events API."""

from connectors.slack.connector import SlackConnector

CONNECTOR = SlackConnector

__all__ = ["CONNECTOR", "SlackConnector"]
