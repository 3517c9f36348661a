"""What callers can do, once for both transports: authorize, act, audit."""
