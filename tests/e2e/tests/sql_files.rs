//! The files in `sql/` run as they stand, by psql and with the rights that they ask for.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use harness::cluster::{Cluster, SUPERUSER};
use harness::paths;
use tokio_postgres::Client;

const DATABASE: &str = "postgres";

/// Runs a file below `sql/` with psql, which stops at the first error, and returns what it printed.
fn run_file(cluster: &Cluster, user: &str, file: &str) -> anyhow::Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sql").join(file);
    let output = Command::new(paths::bin_dir()?.join("psql"))
        .args(["-X", "-v", "ON_ERROR_STOP=1", "-d", DATABASE, "-U", user, "-f"])
        .arg(&path)
        .arg("-h")
        .arg(cluster.socket_dir())
        .args(["-p", &cluster.port().to_string()])
        .stdin(Stdio::null())
        .output()
        .context("cannot run psql")?;
    let complaints = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{file} failed: {complaints}");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Puts one event into the inbox. `values` are the columns of its row, `scn` is its position.
async fn ingest(client: &Client, table: &str, op: char, values: &str, scn: u32) -> anyhow::Result<()> {
    let (before, after) = if op == 'd' { (values, "null") } else { ("null", values) };
    let payload = format!(
        r#"{{"op":"{op}","before":{before},"after":{after},
             "source":{{"schema":"SALES","table":"{table}","scn":"{scn}"}}}}"#
    );
    let topic = format!("cdc/oracle/SALES/{table}/event");
    client.execute("select cdc.ingest($1, $2)", &[&topic, &payload]).await?;
    Ok(())
}

async fn flush(client: &Client) -> anyhow::Result<()> {
    client.execute("select cdc.flush()", &[]).await?;
    Ok(())
}

async fn text(client: &Client, sql: &str) -> anyhow::Result<String> {
    Ok(client.query_one(sql, &[]).await?.get(0))
}

#[tokio::test]
async fn a_reader_sees_with_monitoring_what_waits_and_what_failed() -> anyhow::Result<()> {
    let cluster = Cluster::start()?;
    let client = cluster.connect(DATABASE).await?;
    client
        .batch_execute(
            "create extension pg_cdc_ods;
             select cdc.install_preset('ecommerce');
             create role watcher login in role cdc_reader",
        )
        .await?;
    ingest(&client, "ORDERS", 'c', r#"{"ORDER_ID": "none"}"#, 1).await?;
    flush(&client).await?;
    client.batch_execute("select cdc.pause()").await?;
    ingest(&client, "CUSTOMERS", 'c', r#"{"CUSTOMER_ID": 7}"#, 2).await?;

    let printed = run_file(&cluster, "watcher", "monitoring.sql")?;

    for expected in
        ["apply worker", "SCHEMA_MISMATCH", "cdc/oracle/SALES/CUSTOMERS/event", "public.cdc_orders"]
    {
        assert!(printed.contains(expected), "no {expected:?} in:\n{printed}");
    }
    Ok(())
}

#[tokio::test]
async fn the_roles_of_the_example_can_do_their_work_and_no_more() -> anyhow::Result<()> {
    let cluster = Cluster::start()?;
    run_file(&cluster, SUPERUSER, "examples/roles.sql")?;
    let client = cluster.connect(DATABASE).await?;

    client.batch_execute("set role cdc_bridge").await?;
    let body = r#"{"op": "c", "after": {"ORDER_ID": 1, "STATUS": "NEW"}, "source": {"scn": "1"}}"#;
    let put = "insert into cdc.inbox (topic, payload) values ('cdc/oracle/SALES/ORDERS/insert', $1)";
    client.execute(put, &[&body.as_bytes()]).await?;
    let refused = client.query("select * from cdc.inbox", &[]).await.map(|rows| rows.len());
    assert!(refused.is_err(), "the bridge can read the inbox");

    client.batch_execute("reset role").await?;
    flush(&client).await?;
    client.batch_execute("set role ods_analyst").await?;
    assert_eq!(text(&client, "select status from ods.cdc_orders").await?, "NEW");
    for sql in ["select * from cdc.dlq", "select * from ods.cdc_dlq", "delete from ods.cdc_orders"] {
        assert!(client.execute(sql, &[]).await.is_err(), "an analyst may: {sql}");
    }
    Ok(())
}

#[tokio::test]
async fn the_attached_table_is_fed_as_its_comments_say() -> anyhow::Result<()> {
    let cluster = Cluster::start()?;
    let client = cluster.connect(DATABASE).await?;
    client.batch_execute("create extension pg_cdc_ods").await?;
    run_file(&cluster, SUPERUSER, "examples/attach.sql")?;

    let first = r#"{"INVOICE_ID": 1, "FIRST_NAME": "Ada", "LAST_NAME": "Lovelace", "AMOUNT": 12.30,
                    "CURRENCY": "GBP", "PAYABLE_UNTIL": "2024-05-01", "STATUS": "PAID",
                    "INTERNAL_NOTE": "secret", "COLOUR": "red"}"#;
    ingest(&client, "INVOICES", 'c', first, 1).await?;
    ingest(&client, "INVOICES", 'c', r#"{"INVOICE_ID": 2, "AMOUNT": 1, "CURRENCY": "EUR"}"#, 2).await?;
    ingest(&client, "INVOICES", 'd', r#"{"INVOICE_ID": 2, "AMOUNT": 1, "CURRENCY": "EUR"}"#, 3).await?;
    ingest(&client, "INVOICES", 'c', r#"{"INVOICE_ID": 3, "AMOUNT": -1, "CURRENCY": "EUR"}"#, 4).await?;
    flush(&client).await?;

    let row = "select concat_ws('|', customer_name, amount, currency, due_date, is_paid, extra_fields)
                 from invoices where invoice_id = 1";
    assert_eq!(
        text(&client, row).await?,
        r#"Ada Lovelace|12.30|GBP|2024-05-01|t|{"COLOUR": "red", "STATUS": "PAID"}"#
    );
    assert_eq!(text(&client, "select source_op from invoices where invoice_id = 2").await?, "d");
    assert_eq!(text(&client, "select error_type from cdc.dlq").await?, "CONSTRAINT_VIOLATION");
    Ok(())
}

#[tokio::test]
async fn an_overflow_field_becomes_a_column_that_later_events_fill() -> anyhow::Result<()> {
    let cluster = Cluster::start()?;
    let client = cluster.connect(DATABASE).await?;
    client.batch_execute("create extension pg_cdc_ods; select cdc.install_preset('ecommerce')").await?;
    ingest(&client, "ORDERS", 'c', r#"{"ORDER_ID": 1, "GIFT": true}"#, 1).await?;
    ingest(&client, "ORDERS", 'c', r#"{"ORDER_ID": 2, "GIFT": false, "NOTE": "x"}"#, 2).await?;
    flush(&client).await?;

    let printed = run_file(&cluster, SUPERUSER, "examples/overflow.sql")?;
    ingest(&client, "ORDERS", 'c', r#"{"ORDER_ID": 3, "GIFT": true}"#, 3).await?;
    flush(&client).await?;

    assert!(printed.contains("boolean"), "{printed}");
    let rows = "select string_agg(concat_ws(' ', order_id, gift, extra_fields), ', ' order by order_id)
                  from cdc_orders";
    assert_eq!(text(&client, rows).await?, r#"1 t, 2 f {"NOTE": "x"}, 3 t"#);
    Ok(())
}
