"""Work in the background that one process of the deployment does for all."""
