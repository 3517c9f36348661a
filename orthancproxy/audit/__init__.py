"""The audit log: who did what to whose images, written once and never changed."""
