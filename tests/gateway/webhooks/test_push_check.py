"""A webhook that could go nowhere is refused before its job is queued."""

from __future__ import annotations

import pytest
from hypothesis import given

from gateway.webhooks.push_check import check_webhook
from jobs import GenerateJob, InvalidJobError
from tests.gateway.webhooks.test_addresses import special_hosts


def job(host: str) -> GenerateJob:
    return GenerateJob(prompt_tokens=[1], webhook_url=f"http://{host}/hook")


@given(special_hosts())
def test_every_form_of_an_address_that_gets_none_is_refused(host: str) -> None:
    with pytest.raises(InvalidJobError) as caught:
        check_webhook(job(f"[{host}]" if ":" in host else host), allows_private=False)
    assert caught.value.field == "webhook_url"


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST.", "a.localhost:8080"])
def test_this_machine_is_refused_by_name_unless_private_addresses_are_allowed(host: str) -> None:
    with pytest.raises(InvalidJobError):
        check_webhook(job(host), allows_private=False)
    check_webhook(job(host), allows_private=True)


@pytest.mark.parametrize("host", ["example.com", "1.1.1.1", "[2606:4700::1111]:8443", "a_b"])
def test_others_pass_and_so_does_a_job_without(host: str) -> None:
    check_webhook(job(host), allows_private=False)
    check_webhook(GenerateJob(prompt_tokens=[1]), allows_private=False)
