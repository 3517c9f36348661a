"""The pages of share links: the one that a link leads to, and that of the shared study."""
