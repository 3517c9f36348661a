"""The gateway's index of patients and studies, in its own database."""
