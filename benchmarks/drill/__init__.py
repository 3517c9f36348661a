"""`make drill`: what a deployment of several hosts loses when its parts fail in turn."""
