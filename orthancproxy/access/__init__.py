"""Authentication, permissions and access scopes: who calls, what they may do, and which patients they see."""
