"""The archive as the gateway sees it: levels, records, and plans that become records in a fixed number of calls."""
