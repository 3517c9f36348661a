"""The page for people: worklist, studies and upload, over the public GraphQL API. Its sources are in `web/`."""
