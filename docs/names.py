"""Short names in docstrings, as `Espresso`, lead to the one thing of that name on the site."""

from __future__ import annotations

from docutils.nodes import Element
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.domains.python import PythonDomain
from sphinx.environment import BuildEnvironment
from sphinx.util.nodes import make_refnode


def by_last_name(app: Sphinx, env: BuildEnvironment, node: pending_xref, said: Element) -> Element | None:
    """The reference to the only object whose last name it is; of several the public one, `maladist.NAME`."""
    if node.get("refdomain") != "py":
        return None
    domain = env.domains["py"]
    assert isinstance(domain, PythonDomain)
    name = node["reftarget"].removesuffix("()")
    found = [full for full in domain.objects if full == name or full.endswith(f".{name}")]
    if f"maladist.{name}" in found:
        found = [f"maladist.{name}"]
    if len(found) != 1 or found[0] == node.get("py:module"):
        return None
    at = domain.objects[found[0]]
    return make_refnode(app.builder, node["refdoc"], at.docname, at.node_id, said, found[0])


def setup(app: Sphinx) -> dict[str, bool]:
    """Ask it where Sphinx itself has found nothing."""
    app.connect("missing-reference", by_last_name)
    return {"parallel_read_safe": True}
