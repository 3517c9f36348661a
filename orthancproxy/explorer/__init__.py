"""The page for people: worklist, viewer and upload, over the public GraphQL API. Its sources are in `web/`."""
