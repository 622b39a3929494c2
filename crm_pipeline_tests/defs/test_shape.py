"""What Dagster shows: keys, groups, lineage, columns, checks, jobs."""

import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "crm_pipeline"


@pytest.fixture(scope="module")
def graph(definitions):
    return definitions.resolve_asset_graph()


def columns_of(graph, *key: str):
    return graph.get(dg.AssetKey(key)).metadata["dagster/column_lineage"].deps_by_column


def test_the_assets_are_named_and_grouped_as_the_architecture_says(graph):
    groups = {node.key.to_user_string(): node.group_name for node in graph.asset_nodes}
    assert groups == {
        "loke/customers": "loke",
        "loke/payments": "loke",
        "loke/list_members": "loke",
        "loke/orders": "loke",
        "sopost/orders": "sopost",
        "catalogue/products": "catalogue",
        "contacts": "desired",
        "memberships": "desired",
        "purchases": "desired",
        "products": "desired",
        "crm_com/orders": "crm_com_source",
        **{f"crm_com/{name}": "crm_com" for name in ("plan", "applied", "drift")},
        **{f"crm_com_classic/{name}": "crm_com_classic" for name in ("plan", "applied", "drift")},
    }


def test_every_asset_is_partitioned_by_organisation_described_owned_and_has_columns(graph):
    for node in graph.asset_nodes:
        assert isinstance(node.partitions_def, dg.DynamicPartitionsDefinition)
        assert node.partitions_def.name == "organisation"
        assert node.description
        assert node.owners
        assert node.kinds
        assert node.metadata["dagster/column_schema"].columns


def test_the_stages_follow_each_other(graph):
    parents = {
        node.key.to_user_string(): {key.to_user_string() for key in node.parent_keys}
        for node in graph.asset_nodes
    }
    assert parents["contacts"] == {"loke/customers", "sopost/orders"}
    assert parents["memberships"] == {"loke/list_members"}
    assert parents["purchases"] == {"loke/payments", "sopost/orders"}
    assert parents["products"] == {"loke/payments", "catalogue/products"}
    assert parents["crm_com/plan"] == {"contacts", "memberships", "purchases", "products"}
    assert parents["crm_com_classic/plan"] == {"purchases", "products"}
    for crm in ("crm_com", "crm_com_classic"):
        assert parents[f"{crm}/applied"] == {f"{crm}/plan"}
        assert parents[f"{crm}/drift"] == {f"{crm}/applied"}
    landed = {"loke/customers", "loke/orders", "sopost/orders", "crm_com/orders"}
    assert all(parents[key] == set() for key in landed)


def test_a_field_of_the_crm_can_be_followed_back_to_the_field_of_loke(graph):
    column = "phone_number"
    for key in (("crm_com", "applied"), ("crm_com", "plan")):
        (dep,) = columns_of(graph, *key)[column]
        column = dep.column_name
    behind = {
        dep.asset_key.to_user_string(): dep.column_name
        for dep in columns_of(graph, "contacts")[column]
    }
    assert behind == {"loke/customers": "phone_number", "sopost/orders": "telephone"}
    schema = graph.get(dg.AssetKey(["loke", "customers"])).metadata["dagster/column_schema"]
    (landed,) = [each for each in schema.columns if each.name == "phone_number"]
    assert "`phoneNumber`" in landed.description


@pytest.mark.parametrize(
    ("crm", "field", "landed"),
    [
        ("crm_com", "purchase.total", {("loke/payments", "total")}),
        ("crm_com", "purchase.contact_key", {
            ("loke/payments", "customer_id"), ("sopost/orders", "identity")}),
        ("crm_com", "refund.amount", {("loke/payments", "refunded_amount")}),
        ("crm_com", "membership.tags", {
            ("loke/list_members", "list_id"), ("loke/list_members", "is_member")}),
        ("crm_com", "product.name", {("catalogue/products", "name"), ("loke/payments", "items")}),
        ("crm_com", "custom.sopost_last_order_status", {("sopost/orders", "status")}),
        ("crm_com_classic", "purchase.participant", {("loke/payments", "customer")}),
    ],
)  # fmt: skip
def test_a_field_of_every_kind_can_be_followed_back_to_what_landed(graph, crm, field, landed):
    column = field
    for key in ((crm, "applied"), (crm, "plan")):
        (dep,) = columns_of(graph, *key)[column]
        column = dep.column_name
    behind = columns_of(graph, *dep.asset_key.path)[column]
    assert {(each.asset_key.to_user_string(), each.column_name) for each in behind} == landed


def test_every_lineage_ends_at_a_landed_column_that_there_is(graph):
    stamped = {"landed_at", "version_at"}
    for name in ("contacts", "memberships", "purchases", "products"):
        for column, deps in columns_of(graph, name).items():
            for dep in deps:
                schema = graph.get(dep.asset_key).metadata["dagster/column_schema"]
                landed = {each.name for each in schema.columns} | stamped
                assert dep.column_name in landed, (name, column, dep)
                assert dep.asset_key in graph.get(dg.AssetKey([name])).parent_keys


def test_every_field_of_a_crm_that_we_fill_has_a_lineage(graph):
    #: Our own words: no record of a source is behind them.
    ours = {"ours", "classification", "notes", "discount"}
    for crm in ("crm_com", "crm_com_classic"):
        for deps in columns_of(graph, crm, "plan").values():
            for dep in deps:
                field = dep.column_name.rpartition("fields.")[2]
                if "fields." in dep.column_name and field not in ours:
                    assert columns_of(graph, *dep.asset_key.path)[dep.column_name], dep


def test_each_landed_asset_tells_how_it_is_read_by_itself(graph):
    told = {node.key.to_user_string(): node.description for node in graph.asset_nodes}
    for name, reader in {
        "loke/customers": "`changes_sensor`",
        "loke/payments": "`inbox_sensor`",
        "loke/list_members": "`lists_schedule`",
        "loke/orders": "`lists_schedule`",
        "sopost/orders": "`inbox_sensor`",
        "crm_com/orders": "`orders_sensor`",
        "catalogue/products": "`products_schedule`",
        "crm_com/drift": "`verify_schedule`",
    }.items():
        assert reader in told[name], name


def test_the_applying_asset_is_built_from_four_ops(definitions):
    job = definitions.resolve_implicit_global_asset_job_def()
    ops = {
        name.split(".")[-1] for name in job.graph.node_dict["crm_com__applied"].definition.node_dict
    }
    assert ops == {"load_plans", "check_guards", "send", "record"}


def test_there_is_a_check_of_each_kind(graph):
    checks = {f"{key.asset_key.to_user_string()}:{key.name}" for key in graph.asset_check_keys}
    assert checks >= {
        "loke/customers:freshness",
        "loke/payments:freshness",
        "crm_com/plan:guards",
        "crm_com/plan:consent",
        "crm_com/applied:balance",
        "crm_com/applied:uniqueness",
    }


def test_no_two_stages_that_follow_each_other_share_a_run(graph):
    most = {node.key: node.backfill_policy.max_partitions_per_run for node in graph.asset_nodes}
    for node in graph.asset_nodes:
        assert all(most[parent] != most[node.key] for parent in node.parent_keys)
    assert all(10 <= each <= 50 for each in most.values())


def test_every_job_runs_in_one_process_and_is_not_retried_by_dagster(definitions):
    for job in definitions.get_repository_def().get_all_jobs():
        assert job.executor_def.name == "in_process", job.name
        if not job.name.startswith("__"):
            assert job.tags["dagster/max_retries"] == "0", job.name
        assert all(
            node.definition.retry_policy is None
            for node in job.graph.nodes
            if hasattr(node.definition, "retry_policy")
        )


def test_no_module_of_defs_postpones_its_annotations():
    sources = [*PACKAGE.glob("defs/**/*.py"), PACKAGE / "definitions.py"]
    assert not [path.name for path in sources if "\nfrom __future__" in path.read_text()]


def test_the_definitions_load_without_configuration_network_or_state(tmp_path):
    program = "from crm_pipeline.definitions import defs; defs().get_repository_def()"
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "CRM_PIPELINE_TEST": "nonsense",
    }
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []
