"""Audits which user somebody at the provider is, whichever way that changes."""

from typing import Any

from django.db.models.signals import post_delete, post_save, pre_save
from django.dispatch import receiver

from orthancproxy.access.changes import write_change
from orthancproxy.project.sso.models import ProviderIdentity


@receiver(pre_save, sender=ProviderIdentity)
def _remember(instance: ProviderIdentity, **_: Any) -> None:
    before = ProviderIdentity.objects.select_related("user").filter(pk=instance.pk).first()
    instance.__dict__["_before_change"] = before and (before.user, str(before))


@receiver(post_save, sender=ProviderIdentity)
def _saved(instance: ProviderIdentity, **_: Any) -> None:
    before, now = instance.__dict__.pop("_before_change"), (instance.user, str(instance))
    if before == now:
        return
    if before:
        write_change(f"users/{before[0].get_username()}", {"provider identity removed": before[1]})
    write_change(f"users/{now[0].get_username()}", {"provider identity added": now[1]})


@receiver(post_delete, sender=ProviderIdentity)
def _deleted(instance: ProviderIdentity, **_: Any) -> None:
    write_change(f"users/{instance.user.get_username()}", {"provider identity removed": str(instance)})
