"""Jobs: what goes on after the response to a request, in Orthanc, and is followed by one process of the deployment."""
