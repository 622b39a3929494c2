r"""The sandbox: a fake LOKE, a fake CRM.COM and a fake SoPost that misbehave on request.

Real HTTP servers on loopback, faithful to what is known of the vendors and sharing no code with
the clients they test. Here: servers, invented people, faults. Not here: anything of the pipeline;
this package imports none of it.

In a test::

    with Sandbox(SandboxSettings()) as sandbox:
        sandbox.loke.mutate("harbour-coffee", count=3)
        sandbox.crm_com.faults.add(FaultRule(kind="cut_after", method="POST"))
        ...  # drive a client against sandbox.loke_url and sandbox.crm_com_url
        sandbox.crm_com.requests.count("POST", "/contacts")

By hand, with ``$LOKE`` and ``$CRM`` from the ready file (``loke_url``, ``crm_com_url``)::

    TOKEN=$(curl -s -u sandbox-client:sandbox-secret -d grant_type=client_credentials \
        $LOKE/token | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
    curl -s -H "Authorization: Bearer $TOKEN" $LOKE/organizations
    curl -si -H "Authorization: Bearer $TOKEN" \
        "$LOKE/organizations/01HSANDB0XHARB0VRC0FFEE001/customers?sort=updated"
    curl -s -H "api_key: crm_test_harbour-coffee" "$CRM/contacts?include_total=true"

    # change three customers; make the next two creations fail with 429
    curl -s $LOKE/_sandbox/customers/mutate -d '{"organisation": "harbour-coffee", "count": 3}'
    curl -s $CRM/_sandbox/faults -d '{"kind": "status", "status": 429, "retry_after": 1,
        "method": "POST", "path": "/contacts", "times": 2}'
    curl -s "$CRM/_sandbox/requests?summary=1"
    curl -s "$CRM/_sandbox/state?key=crm_test_harbour-coffee"
    curl -s -X POST $LOKE/_sandbox/reset
"""

from crm_pipeline.sandbox.control.faults import FaultRule
from crm_pipeline.sandbox.running import Sandbox, run_sandbox
from crm_pipeline.sandbox.settings import (
    SandboxOrganisation,
    SandboxSettings,
    demo_organisations,
)

__all__ = [
    "FaultRule",
    "Sandbox",
    "SandboxOrganisation",
    "SandboxSettings",
    "demo_organisations",
    "run_sandbox",
]
