"""Dashboards as code: `pages` says what is shown, `grafana` makes Grafana's JSON of it (`make dashboards`)."""
