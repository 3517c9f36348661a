"""`manage.py create_api_token`: a token for a script or a program of a user's."""

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError
from knox.models import get_token_model

MAX_DAYS = 3650


class Command(BaseCommand):
    """Prints a new token once: the database keeps only a hash of it. The admin site lists tokens and deletes them."""

    help = "Make an API token, which may do what its user may: Authorization: Bearer <token>."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("username", metavar="USER", help="whose token it is")
        parser.add_argument("--days", type=int, default=365, help="how long it can be used (default: 365)")

    def handle(self, *args: Any, username: str, days: int, **options: Any) -> None:
        """Make it."""
        if not 1 <= days <= MAX_DAYS:
            raise CommandError(f"--days is a number from 1 to {MAX_DAYS}.")
        try:
            user = get_user_model().objects.get_by_natural_key(username)
        except get_user_model().DoesNotExist:
            raise CommandError(f"There is no user {username}.") from None
        if not user.is_active:
            raise CommandError(f"The user {username} is not active.")
        known, token = get_token_model().objects.create(user, expiry=timedelta(days=days))
        self.stderr.write(f"It can be used until {known.expiry:%Y-%m-%d}, and is shown only now:")
        self.stdout.write(token)
