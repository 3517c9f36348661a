"""What the transports share about HTTP: forms, negotiation, security policies, error responses, the request log."""
