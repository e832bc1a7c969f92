//! The push worker delivers what the outbox holds: in order for each key, through faults, and at least once.

use std::collections::{BTreeMap, HashSet};
use std::time::Instant;

use e2e::PATIENCE;
use harness::cluster::Cluster;
use harness::wait_until;
use rest_receiver::{Answer, Observed, Options, Receiver, Request};
use tokio_postgres::Client;

const PUSH_WORKER: &str = "select pid from cdc.stat_workers
    where kind = 'push worker' and database = current_database() and pid is not null";

/// A cluster with the extension, and a table `orders` whose changes go to the receiver.
async fn stage(options: &str) -> anyhow::Result<(Cluster, Client, Receiver)> {
    let cluster = Cluster::start()?;
    let client = cluster.connect("postgres").await?;
    client
        .batch_execute(
            "create extension pg_cdc_ods;
             create table orders (order_id bigint primary key, version bigint)",
        )
        .await?;
    let receiver = Receiver::start(Options::default())?;
    make_endpoint(&client, "shop", &receiver.url("/api/v1/events"), options).await?;
    client.batch_execute("select cdc.route('orders', 'orders', 'true', 'endpoint:shop')").await?;
    Ok((cluster, client, receiver))
}

/// An endpoint that is tried again at once, with more options as `cdc.endpoint()` takes them.
async fn make_endpoint(client: &Client, name: &str, url: &str, options: &str) -> anyhow::Result<()> {
    let sql = format!(
        "select cdc.endpoint('{name}', '{url}', backoff => '50 ms', max_backoff => '100 ms'{options})"
    );
    Ok(client.batch_execute(&sql).await?)
}

/// Changes each of ten orders ten times; each change is a statement and a document.
async fn change_orders(client: &Client, versions: std::ops::RangeInclusive<i64>) -> anyhow::Result<()> {
    let sql = "insert into orders select n, $1 from generate_series(1, 10) as n
               on conflict (order_id) do update set version = excluded.version";
    for version in versions {
        client.execute(sql, &[&version]).await?;
    }
    Ok(())
}

async fn wait_for(client: &Client, sql: &str) -> anyhow::Result<()> {
    let holds = async || Ok(client.query_one(sql, &[]).await?.get::<_, bool>(0).then_some(()));
    wait_until(PATIENCE, sql, holds).await
}

/// What `cdc.stat_endpoints` says of an endpoint: delivered, retried, dead.
async fn counts(client: &Client, endpoint: &str) -> anyhow::Result<(i64, i64, i64)> {
    let sql = "select delivered, retried, dead from cdc.stat_endpoints where name = $1";
    let row = client.query_one(sql, &[&endpoint]).await?;
    Ok((row.get(0), row.get(1), row.get(2)))
}

const EMPTY: &str = "select count(*) = 0 from cdc.outbox";

/// Options of an endpoint that is tried on through any number of faults. The breaker would only make a test slower.
const TRYING_ON: &str = ", max_attempts => 100, breaker_failures => 1000000";

/// The versions that the receiver took of each order, in the order of their coming; an event that it knows counts not.
fn versions(observed: &Observed) -> BTreeMap<i64, Vec<i64>> {
    let mut known = HashSet::new();
    let mut versions: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for request in observed.taken() {
        let body = request.json();
        let batch = body["events"].as_array().cloned();
        for event in batch.unwrap_or_else(|| vec![body]) {
            if known.insert(event["event_id"].to_string()) {
                let data = &event["data"];
                let order = data["order_id"].as_i64().unwrap_or_default();
                versions.entry(order).or_default().push(data["version"].as_i64().unwrap_or_default());
            }
        }
    }
    versions
}

/// Every version of every order has come, in order.
fn assert_complete(observed: &Observed, last: i64) {
    let expected: Vec<i64> = (1..=last).collect();
    let versions = versions(observed);
    assert_eq!(versions.keys().copied().collect::<Vec<_>>(), (1..=10).collect::<Vec<_>>());
    for (order, came) in versions {
        assert_eq!(came, expected, "order {order}");
    }
}

fn status_of(request: &Request) -> String {
    request.answered.map_or_else(|| "none".to_owned(), |status| status.to_string())
}

#[tokio::test]
async fn a_change_arrives_as_an_event_with_its_credentials() -> anyhow::Result<()> {
    let options = r#", auth => '{"bearer": "open sesame"}', headers => '{"X-Shop": "1"}'"#;
    let (_cluster, client, receiver) = stage(options).await?;
    client.batch_execute("insert into orders values (1, 7)").await?;
    let observed = receiver.wait_until(PATIENCE, |observed| observed.taken().count() == 1)?;
    let request = &observed.requests[0];
    let event = request.json();
    assert_eq!((&event["event_type"], &event["data"]["version"]), (&"ORDER_CREATED".into(), &7.into()));
    assert_eq!(request.header("authorization"), Some("Bearer open sesame"));
    assert_eq!(request.header("x-shop"), Some("1"));
    assert_eq!(request.event_ids(), [event["event_id"].as_str().unwrap_or_default()]);
    wait_for(&client, EMPTY).await?;
    assert_eq!(counts(&client, "shop").await?, (1, 0, 0));
    Ok(())
}

/// Has ten orders and their changes delivered, all in order; returns what `counts` says of them.
async fn deliver_ten_orders(client: &Client, receiver: &Receiver) -> anyhow::Result<(i64, i64, i64)> {
    change_orders(client, 1..=10).await?;
    let observed = receiver
        .wait_until(PATIENCE, |observed| versions(observed).values().map(Vec::len).sum::<usize>() == 100)?;
    assert_complete(&observed, 10);
    wait_for(client, EMPTY).await?;
    counts(client, "shop").await
}

#[tokio::test]
async fn through_faults_nothing_is_lost_or_out_of_order_and_all_is_accounted_for() -> anyhow::Result<()> {
    let (_cluster, client, receiver) = stage(TRYING_ON).await?;
    let faults = [
        Answer::status(503),
        Answer::status(429),
        Answer::reset_connection(),
        Answer::status(408),
        Answer::status(500),
    ];
    receiver.answer_next(faults.iter().cycle().take(60).cloned());
    let (delivered, retried, dead) = deliver_ten_orders(&client, &receiver).await?;
    let mut by_status: BTreeMap<String, usize> = BTreeMap::new();
    receiver
        .observed()
        .requests
        .iter()
        .for_each(|request| *by_status.entry(status_of(request)).or_default() += 1);
    println!("{by_status:?}; delivered {delivered}, retried {retried}, dead {dead}");
    assert_eq!((delivered, retried, dead), (100, 60, 0));
    assert_eq!(receiver.observed().total, 160);
    Ok(())
}

#[tokio::test]
async fn what_is_not_answered_in_time_is_sent_again_and_nothing_is_lost_or_out_of_order() -> anyhow::Result<()>
{
    let (_cluster, client, receiver) = stage(&format!("{TRYING_ON}, timeout => '1 s'")).await?;
    receiver.answer_next(vec![Answer::hang(); 6]);
    let (delivered, retried, dead) = deliver_ten_orders(&client, &receiver).await?;
    assert_eq!((delivered, dead), (100, 0));
    // More if other answers take as long, too.
    assert!(retried >= 6, "{retried} attempts were repeated");
    Ok(())
}

#[tokio::test]
async fn what_is_refused_becomes_a_dead_letter_and_can_be_replayed() -> anyhow::Result<()> {
    let (_cluster, client, receiver) = stage("").await?;
    receiver.answer_by(|request| match request.json()["data"]["order_id"].as_i64() {
        Some(2) => Answer::status(422).with_body("no such customer"),
        _ => Answer::default(),
    });
    change_orders(&client, 1..=1).await?;
    wait_for(&client, EMPTY).await?;
    assert_eq!(counts(&client, "shop").await?, (9, 0, 1));
    let letter = "select error_type, delivery->>'status', delivery->>'answer', delivery->>'event_id', payload_json->'data'->>'order_id'
                    from cdc.dlq";
    let letter = client.query_one(letter, &[]).await?;
    let text = |column| letter.get::<_, String>(column);
    assert_eq!(
        [text(0), text(1), text(2), text(4)],
        ["PUSH_REFUSED", "422", "no such customer", "2"].map(str::to_owned)
    );
    receiver.answer_always(Answer::default());
    client.execute("select cdc.dlq_replay('delivery is not null')", &[]).await?;
    let event_id = text(3);
    receiver.wait_until(PATIENCE, |observed| {
        observed.taken().any(|request| request.event_ids() == [event_id.as_str()])
    })?;
    Ok(())
}

#[tokio::test]
async fn attempts_end_and_then_the_next_of_the_key_goes() -> anyhow::Result<()> {
    let (_cluster, client, receiver) = stage(", max_attempts => 3, breaker_failures => 100").await?;
    receiver.answer_by(|request| match request.json()["data"]["version"].as_i64() {
        Some(1) => Answer::status(503),
        _ => Answer::default(),
    });
    client.batch_execute("insert into orders values (1, 1); update orders set version = 2").await?;
    wait_for(&client, EMPTY).await?;
    assert_eq!(counts(&client, "shop").await?, (1, 2, 1));
    let attempts: String = client
        .query_one("select error_type || ' ' || (delivery->>'attempts') from cdc.dlq", &[])
        .await?
        .get(0);
    assert_eq!(attempts, "PUSH_FAILED 3");
    Ok(())
}

#[tokio::test]
async fn a_push_worker_killed_while_it_sends_delivers_with_the_same_event_ids() -> anyhow::Result<()> {
    let (cluster, client, receiver) = stage("").await?;
    receiver.answer_always(Answer::hang());
    change_orders(&client, 1..=5).await?;
    // Four requests are under way, and none is answered.
    receiver.wait_until(PATIENCE, |observed| observed.in_flight == 4)?;
    let sent_before: HashSet<String> = receiver
        .observed()
        .requests
        .iter()
        .flat_map(|request| request.event_ids().into_iter().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    receiver.answer_always(Answer::default());
    let pid: i32 = client.query_one(PUSH_WORKER, &[]).await?.get(0);
    cluster.kill_backend(pid)?;
    let closed = async || Ok(client.is_closed().then_some(()));
    wait_until(PATIENCE, "the server ends all sessions", closed).await?;

    let observed = receiver
        .wait_until(PATIENCE, |observed| versions(observed).values().map(Vec::len).sum::<usize>() == 50)?;
    assert_complete(&observed, 5);
    let taken: HashSet<String> = observed
        .taken()
        .flat_map(|request| request.event_ids().into_iter().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    assert!(sent_before.is_subset(&taken), "an event came with another id the second time");
    Ok(())
}

#[tokio::test]
async fn a_dead_endpoint_delays_neither_apply_nor_another_endpoint() -> anyhow::Result<()> {
    let (_cluster, client, receiver) = stage("").await?;
    let dead = Receiver::start(Options::default())?;
    dead.answer_always(Answer::hang());
    make_endpoint(&client, "dead", &dead.url("/api/v1/events"), ", timeout => '1 hour'").await?;
    client
        .batch_execute(
            "select cdc.route('orders to nobody', 'orders', 'true', 'endpoint:dead');
             select cdc.attach('*.ORDERS', 'orders', columns => '{\"version\": \"VERSION\"}')",
        )
        .await?;
    dead.answer_always(Answer::hang());
    let event = "select cdc.ingest('cdc/oracle/S/ORDERS/insert',
        format('{\"op\":\"c\",\"after\":{\"ORDER_ID\":%s,\"VERSION\":1},\"source\":{\"scn\":\"%s\"}}', n, n))
        from generate_series(1, 3000) as n";
    client.query(event, &[]).await?;
    receiver.wait_until(PATIENCE, |observed| observed.taken().count() == 3000)?;
    let row = client
        .query_one("select waiting + in_flight, delivered from cdc.stat_endpoints where name = 'dead'", &[])
        .await?;
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (3000, 0));
    Ok(())
}

#[tokio::test]
async fn an_open_breaker_is_shown_spares_attempts_and_closes_by_itself() -> anyhow::Result<()> {
    let (_cluster, client, receiver) =
        stage(", breaker_failures => 3, breaker_open => '1 s', max_attempts => 100").await?;
    receiver.answer_always(Answer::status(503));
    let begun = Instant::now();
    change_orders(&client, 1..=2).await?;
    wait_for(&client, "select breaker = 'open' from cdc.stat_endpoints").await?;
    receiver.answer_always(Answer::default());
    let observed = receiver.wait_until(PATIENCE, |observed| observed.taken().count() == 20)?;
    assert_complete(&observed, 2);
    wait_for(&client, "select breaker = 'closed' and waiting + in_flight = 0 from cdc.stat_endpoints")
        .await?;
    let refused = receiver.observed().total.cast_signed() - 20;
    assert_eq!(counts(&client, "shop").await?, (20, refused, 0));
    // The third failure opens it; three more requests may be under way then. After that, one may probe each second.
    let probes = begun.elapsed().as_secs().cast_signed();
    assert!(refused <= 3 + 3 + probes, "{refused} attempts, of which at most {probes} were probes");
    Ok(())
}

#[tokio::test]
async fn batches_are_sent_where_the_endpoint_takes_them() -> anyhow::Result<()> {
    let (_cluster, client, receiver) = stage(", batch_size => 50").await?;
    client.batch_execute("insert into orders select n, 1 from generate_series(1, 1000) as n").await?;
    let observed = receiver.wait_until(PATIENCE, |observed| {
        observed.taken().map(|request| request.event_ids().len()).sum::<usize>() == 1000
    })?;
    assert!(observed.total < 200, "{} requests for 1000 documents", observed.total);
    Ok(())
}

#[tokio::test]
async fn an_outbox_that_has_grown_gives_back_its_space_when_it_is_empty() -> anyhow::Result<()> {
    let (_cluster, client, _receiver) = stage(", batch_size => 100").await?;
    let padded = "select cdc.route('padded', 'orders', 'true', 'endpoint:shop',
        payload => $$jsonb_build_object('order_id', order_id, 'padding', repeat(md5(order_id::text), 32))$$)";
    client.batch_execute(padded).await?;
    client.batch_execute("insert into orders select n, 1 from generate_series(1, 20000) as n").await?;
    wait_for(&client, EMPTY).await?;
    wait_for(&client, "select pg_total_relation_size('cdc.outbox') < 1000000").await?;
    assert_eq!(counts(&client, "shop").await?, (40_000, 0, 0));
    Ok(())
}

#[tokio::test]
async fn the_worker_comes_with_the_first_endpoint_and_goes_with_the_last_or_its_database()
-> anyhow::Result<()> {
    let (cluster, client, _receiver) = stage("").await?;
    let no_worker =
        "select count(*) = 0 from cdc.stat_workers where kind = 'push worker' and pid is not null";
    wait_for(
        &client,
        "select count(*) = 1 from cdc.stat_workers where kind = 'push worker' and state = 'idle'",
    )
    .await?;
    client.batch_execute("select cdc.drop_route('orders'), cdc.drop_endpoint('shop')").await?;
    wait_for(&client, no_worker).await?;
    make_endpoint(&client, "again", "http://127.0.0.1:9/", "").await?;
    wait_for(
        &client,
        "select count(*) = 1 from cdc.stat_workers where kind = 'push worker' and state = 'idle'",
    )
    .await?;

    client.batch_execute("drop extension pg_cdc_ods cascade").await?;
    let workers =
        "select count(*) = 0 from pg_stat_activity where application_name like 'pg_cdc_ods %worker'";
    wait_for(&client, workers).await?;
    client.batch_execute("create extension pg_cdc_ods").await?;
    make_endpoint(&client, "again", "http://127.0.0.1:9/", "").await?;
    wait_for(
        &client,
        "select count(*) = 1 from cdc.stat_workers where kind = 'push worker' and state = 'idle'",
    )
    .await?;
    drop(client);
    let admin = cluster.connect("template1").await?;
    let ended = "select not exists (select from pg_stat_activity
                                     where datname = 'postgres' and backend_type = 'client backend')";
    wait_for(&admin, ended).await?;
    admin.batch_execute("drop database postgres").await?;
    Ok(())
}

#[tokio::test]
async fn listeners_are_notified() -> anyhow::Result<()> {
    let (cluster, client, _receiver) = stage("").await?;
    client
        .batch_execute(
            "select cdc.route('tell', 'orders', 'version > 1', 'notify:orders_changed', format => 'row')",
        )
        .await?;
    let output = std::process::Command::new(harness::paths::bin_dir()?.join("psql"))
        .args(["-X", "-At", "-U", "postgres", "-d", "postgres", "-h"])
        .arg(cluster.socket_dir())
        .args(["-p", &cluster.port().to_string()])
        .args(["-c", "listen orders_changed", "-c", "insert into orders values (1, 1), (2, 2)"])
        .output()?;
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(printed.contains(r#"with payload "{"version": 2, "order_id": 2}""#), "{printed}");
    assert!(!printed.contains(r#""order_id": 1"#), "{printed}");
    Ok(())
}
