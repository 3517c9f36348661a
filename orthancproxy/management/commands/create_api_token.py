"""`manage.py create_api_token`: create a token for a user's script or program."""

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError

from orthancproxy.access.api_tokens import DEFAULT_DAYS, MAX_DAYS, create_api_token


class Command(BaseCommand):
    """Prints a new token, once: the database keeps only its hash. The admin site lists and deletes tokens."""

    help = "Create an API token with the permissions of its user, to send as Authorization: Bearer <token>."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username", metavar="USER", help="the user of the token")
        parser.add_argument(
            "--days", type=int, default=DEFAULT_DAYS, help="days until it expires (default: %(default)s)"
        )

    def handle(self, *args: Any, username: str, days: int, **options: Any) -> None:
        if not 1 <= days <= MAX_DAYS:
            raise CommandError(f"--days must be from 1 to {MAX_DAYS}.")
        try:
            user = get_user_model().objects.get_by_natural_key(username)
        except get_user_model().DoesNotExist:
            raise CommandError(f"There is no user {username}.") from None
        if not user.is_active:
            raise CommandError(f"The user {username} is not active.")
        row, token = create_api_token(user, days)
        self.stderr.write(f"The token expires on {row.expiry:%Y-%m-%d}. It is shown only once:")
        self.stdout.write(token)
