"""Laws of lists: tags follow members, and no strange reading takes anybody's (P16 to P18)."""

from crm_pipeline_tests.acceptance.oracle import wrong_tags
from crm_pipeline_tests.simulation.organisation import Organisation
from crm_pipeline_tests.simulation.people import Contacts


class Tagged:
    """Remembers who carries which tag, and who was ever on which list.

    Whoever carries a tag and never left its list since must go on carrying it: one who left with
    it and came back is judged again once the tag was taken off and given anew.
    """

    def __init__(self, organisation: Organisation) -> None:
        self._of = organisation
        self._ever: set[tuple[str, str]] = set()
        self._carried: set[tuple[str, str]] = set()
        self._left: set[tuple[str, str]] = set()
        self._wrong: list[str] = []
        self.look()

    def look(self) -> None:
        """Compare the tags that contacts carry now with the lists now, and with those before."""
        lists = self._of.lists
        assert lists is not None
        found = Contacts(self._of)
        now = {
            (found.code_of(who), tag) for tag, members in lists.members().items() for who in members
        }
        ours = set(lists.tags.values())
        carried = {
            (each["code"], tag) for each in found.rows for tag in each["tags"] if tag in ours
        }
        self._ever |= now
        self._left |= self._carried - now
        self._carried &= now
        kept = {each for each in self._carried - carried if not self._is_gone(each[0])}
        self._wrong = [f"{code} lost a tag, and never left the list" for code, _ in sorted(kept)]
        invented = sorted(carried - self._ever)
        self._wrong += [f"{code} has a tag, and never was on the list" for code, _ in invented]
        # Who left may be taken off by a reading of then, though they are back by now.
        self._left &= carried
        self._carried = (carried & now) - self._left

    def lost(self) -> list[str]:
        """Return what was wrong at the last look."""
        return self._wrong

    def _is_gone(self, code: str) -> bool:
        return self._of.erasures is not None and code in self._of.erasures.asked


def liveness(organisation: Organisation, found: Contacts) -> list[str]:
    """Return the contacts whose tags differ from the lists' members."""
    lists = organisation.lists
    assert lists is not None
    gone = organisation.erasures.gone()[0] if organisation.erasures is not None else frozenset()
    wanted: dict[str, set[str]] = {}
    for tag, members in lists.members().items():
        for who in members:
            if who not in gone:
                wanted.setdefault(found.code_of(who), set()).add(tag)
    wrong = wrong_tags(wanted, found.rows, set(lists.tags.values()))
    missing = wanted.keys() - found.by_code.keys()
    return [f"{code} has other tags than lists" for code in [*wrong, *sorted(missing)]]
