"""Whatever happens to lists and to the answers about them, nobody is removed who is in a list."""

import contextlib
import dataclasses
import datetime as dt
import json

import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crm_pipeline.core.ports import DecodedPage, ListInfo, Page
from crm_pipeline.core.pulling import ListRule, PullRules
from crm_pipeline.core.times import format_time
from crm_pipeline.errors import AnswerLostError, CrmPipelineError
from crm_pipeline.sources.loke import SOURCE
from crm_pipeline.store.lake import Lake
from crm_pipeline.store.ledger import Ledger
from crm_pipeline.sync.land import pull
from crm_pipeline.sync.workspace import Workspace
from crm_pipeline_tests.sync.conftest import START

LIST = "01HCHURN0000000000000000L1"
PAGE = 3
SPEC = dataclasses.replace(
    SOURCE,
    datasets={"list_members": dataclasses.replace(SOURCE.datasets["list_members"], page_size=PAGE)},
)
RULES = PullRules(group_pages=1, lists=(ListRule(id=LIST, name="Churn"),))
SCHEMA = SPEC.datasets["list_members"].schema
TABLE = "landed/loke/list_members"

people = st.integers(0, 9)
steps = st.fixed_dictionaries(
    {
        "add": st.sets(people, max_size=10),
        "remove": st.sets(people, max_size=3),
        "slip": people | st.none(),
        "fault": st.sampled_from(
            ["", "", "", "fails", "no_link", "empty", "gone", "lagging", "silent"]
        ),
        "page": st.integers(0, 2),
    }
)


class Clock:
    def __init__(self):
        self.now = START

    def __call__(self):
        self.now += dt.timedelta(milliseconds=1)
        return self.now


class Club:
    """A source with one list. ``slip`` leaves while the second page is on its way."""

    def __init__(self, clock):
        self._clock = clock
        self.members = {}
        self.count_before = 0
        self.fault, self.page, self.slip = "", 0, None
        #: Who was in the list at every moment of the reading.
        self.steady = set()

    def step(self, add=(), remove=(), slip=None, fault="", page=0):
        self.count_before = len(self.members)
        for each in remove:
            self.members.pop(each, None)
        for each in add:
            self.members.setdefault(each, format_time(self._clock()))
        self.fault, self.page, self.slip = fault, page, slip
        self.steady = self.members.keys() - {slip}

    def lists(self):
        counts = {"lagging": self.count_before, "silent": None}
        count = counts.get(self.fault, len(self.members))
        known = [ListInfo(id=LIST, name="Churn", member_count=count)]
        return [] if self.fault == "gone" else known

    def members_page(self, _list_id):
        return self._page(0)

    def next_page(self, link):
        if self.slip is not None:
            self.members.pop(self.slip, None)
        return self._page(int(link))

    def _page(self, number):
        if self.fault == "fails" and number == self.page:
            raise AnswerLostError("lost")
        rows = [] if self.fault == "empty" else list(self.members.items())
        shown = rows[number * PAGE : (number + 1) * PAGE]
        has_more = (number + 1) * PAGE < len(rows)
        is_cut = self.fault == "no_link" and number == self.page
        link = str(number + 1) if has_more and not is_cut else None
        body = json.dumps(shown).encode()
        return Page(body=body, next_link=link, server_date=None, digest="")

    def decode(self, _dataset, page):
        rows = [
            {
                "id": f"{LIST}/{person}",
                "list_id": LIST,
                "customer_id": str(person),
                "added_at": added_at,
                "changed_at": added_at,
            }
            for person, added_at in json.loads(page.body)
        ]
        batch = pa.RecordBatch.from_pylist(rows, schema=SCHEMA)
        return DecodedPage(rows=batch, rejects=(), row_count=batch.num_rows)


def members(ws):
    if not ws.lake.exists("club", TABLE):
        return set()
    rows = ws.lake.current("club", TABLE, "id").read_all().to_pylist()
    return {int(row["customer_id"]) for row in rows if row["is_member"]}


def last_batches(ws):
    """Whether whatever landed last of a member is its newest version."""
    rows = ws.lake.scan("club", TABLE).read_all().to_pylist()
    last = {row["id"]: row["version_at"] for row in sorted(rows, key=lambda row: row["batch"])}
    current = ws.lake.current("club", TABLE, "id").read_all().to_pylist()
    return last == {row["id"]: row["version_at"] for row in current}


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(story=st.lists(steps, min_size=1, max_size=6))
def test_nobody_is_removed_who_is_there_and_quiet_makes_all_right(story, tmp_path_factory):
    folder, clock = tmp_path_factory.mktemp("club"), Clock()
    ledger = Ledger(f"sqlite:///{folder}/ledger.db", clock=clock)
    ledger.migrate()
    ws = Workspace(ledger=ledger, lake=Lake(str(folder / "lake"), clock=clock), clock=clock)
    club = Club(clock)

    def read():
        clock.now += dt.timedelta(minutes=15)
        return pull(ws, "club", SPEC, club, "list_members", mode="incremental", rules=RULES)

    for each in story:
        before = members(ws)
        club.step(**each)
        with contextlib.suppress(CrmPipelineError):
            read()
        assert before & club.steady <= members(ws)
    club.step()
    for _ in range(2):
        read()
    assert members(ws) == club.members.keys()
    assert read().rows_landed == 0
    if club.members:
        assert last_batches(ws)
    ledger.close()
