"""Customer lists at LOKE: people join and leave, and LOKE tells nobody; some readings are short."""

from typing import TYPE_CHECKING

from crm_pipeline.sandbox import FaultRule
from crm_pipeline_tests.simulation.binding import LISTS

if TYPE_CHECKING:
    from crm_pipeline_tests.simulation.organisation import Organisation


class Lists:
    """Two lists, read in pages of two; ``tags`` are the CRM's ids of their tags, by list."""

    def __init__(self, organisation: "Organisation") -> None:
        self._of = organisation
        self._loke = organisation.loke
        for list_id, tag in LISTS.items():
            self._loke.create_list(organisation.known.id, tag, list_id=list_id)
        self._loke.switch(member_page_size=2)
        ids = {name: tag_id for tag_id, name in organisation.world.crm.tags.items()}
        self.tags = {list_id: ids[tag] for list_id, tag in LISTS.items()}

    def members(self) -> dict[str, list[str]]:
        """Return the customers in each list, by the id of its tag."""
        return {
            tag: self._loke.members(self._of.known.id, list_id)
            for list_id, tag in self.tags.items()
        }

    def join(self) -> None:
        """Put some people into a list."""
        chance, people = self._of.world.chance, self._of.people()
        chosen = chance.sample(people, min(len(people), chance.choice([1, 1, 3])))
        ids = [each["id"] for each in chosen]
        self._loke.add_members(self._of.known.id, chance.choice(sorted(LISTS)), ids)

    def leave(self) -> None:
        """Take somebody off a list, or everybody."""
        chance = self._of.world.chance
        list_id = chance.choice(sorted(LISTS))
        members = self._loke.members(self._of.known.id, list_id)
        if members:
            gone = chance.choice([None, [chance.choice(members)], [chance.choice(members)]])
            self._loke.remove_members(self._of.known.id, list_id, gone)

    def doubt(self) -> None:
        """Show a list with members wrongly until ``trust``: without them, cut after a page, or
        called otherwise.
        """
        chance = self._of.world.chance
        members = {each: self._loke.members(self._of.known.id, each) for each in sorted(LISTS)}
        list_id = chance.choice([each for each in members if members[each]] or [*members])
        how = chance.choice(["empty", "cut", "renamed"])
        if how == "empty":
            self._loke.switch(empty_lists=[list_id])
        elif how == "renamed":
            self._loke.rename_list(self._of.known.id, list_id, "Another name")
        else:
            path = f"/{list_id}/members"
            self._loke.faults.add(
                FaultRule(kind="next_link", link="missing", path=path, times=None)
            )

    def trust(self) -> None:
        """Show every list as it is."""
        self._loke.switch(empty_lists=[])
        self._loke.faults.clear()
        for list_id, tag in LISTS.items():
            self._loke.rename_list(self._of.known.id, list_id, tag)
