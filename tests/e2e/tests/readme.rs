//! The README and the manuals tell the truth: their commands run as they stand, in order and in a fresh cluster, their
//! links lead somewhere, and their tables name what there is.
//!
//! A block of language `sql` goes through psql, one of `sh` through bash; a block of `output` must be among what the
//! block before it printed. A comment `<!-- not run: why -->` above a block leaves it out, `<!-- fails: why -->` expects
//! it to fail.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context, bail, ensure};
use harness::cluster::{Cluster, SUPERUSER};
use harness::paths;
use tempfile::TempDir;

/// What the test answers for.
const DOCUMENTS: [&str; 11] = [
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "docs/bridge.md",
    "docs/decoding.md",
    "docs/enrichment.md",
    "docs/operations.md",
    "docs/performance.md",
    "docs/push.md",
    "docs/xml.md",
    "docker/README.md",
];

/// Functions that cdc_admin may call and that no user has to: a column's default, triggers, and what is behind others and
/// views.
const INNER_FUNCTIONS: [&str; 8] = [
    "inbox_slot",
    "dlq_matching",
    "stat_workers",
    "apply_latency",
    "pending_rows",
    "enrich_changed",
    "aggregate_changed",
    "rules_changed",
];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(document: &str) -> anyhow::Result<String> {
    fs::read_to_string(repository().join(document)).with_context(|| format!("cannot read {document}"))
}

#[derive(Debug, PartialEq, Eq)]
enum Expectation {
    Success,
    Failure,
    NotRun,
}

/// A fenced block.
#[derive(Debug)]
struct Block {
    /// Line of its opening fence, from 1.
    line: usize,
    language: String,
    text: String,
    expectation: Expectation,
}

fn blocks(markdown: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut lines = markdown.lines().enumerate();
    let mut expectation = Expectation::Success;
    while let Some((index, line)) = lines.next() {
        if line.starts_with("<!-- not run:") {
            expectation = Expectation::NotRun;
        } else if line.starts_with("<!-- fails:") {
            expectation = Expectation::Failure;
        } else if let Some(language) = line.strip_prefix("```") {
            let content = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```");
            let text = content.map(|line| format!("{line}\n")).collect();
            let expectation = std::mem::replace(&mut expectation, Expectation::Success);
            found.push(Block { line: index + 1, language: language.to_owned(), text, expectation });
        }
    }
    found
}

/// A fresh cluster in which the blocks of one document run.
struct Stage {
    cluster: Cluster,
    folder: TempDir,
}

impl Stage {
    fn set() -> anyhow::Result<Self> {
        Ok(Self { cluster: Cluster::start()?, folder: tempfile::tempdir()? })
    }

    /// Runs a program on the text in the environment that the documents suppose: the programs are in the path, and
    /// both libpq and the bridge find the cluster.
    fn run(&self, program: &str, args: &[&str]) -> anyhow::Result<Output> {
        let bridge = paths::program("cdc-bridge")?;
        let folder = bridge.parent().context("a program is in a folder")?.display().to_string();
        let path = format!("{}:{folder}:{}", paths::bin_dir()?.display(), std::env::var("PATH")?);
        let host = self.cluster.socket_dir();
        let port = self.cluster.port().to_string();
        let mut command = Command::new(program);
        command.args(args).current_dir(self.folder.path()).env("PATH", path).stdin(Stdio::null());
        for prefix in ["PG", "POSTGRES_"] {
            command.env(format!("{prefix}HOST"), host).env(format!("{prefix}PORT"), &port);
            command.env(format!("{prefix}USER"), SUPERUSER);
        }
        command.env("PGDATABASE", "postgres").env("POSTGRES_DB", "postgres");
        command.output().with_context(|| format!("cannot run {program}"))
    }

    /// What the block printed.
    fn play(&self, document: &str, block: &Block) -> anyhow::Result<String> {
        let output = if block.language == "sql" {
            self.run("psql", &["-X", "-v", "ON_ERROR_STOP=1", "-f", &self.file(&block.text)?])?
        } else {
            self.run("bash", &["-euo", "pipefail", "-c", &block.text])?
        };
        let complaints = String::from_utf8_lossy(&output.stderr);
        let as_expected = output.status.success() == (block.expectation == Expectation::Success);
        ensure!(as_expected, "{document}:{}: {}\n{complaints}", block.line, output.status);
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn file(&self, text: &str) -> anyhow::Result<String> {
        let path = self.folder.path().join("block.sql");
        fs::write(&path, text)?;
        Ok(path.display().to_string())
    }
}

/// Runs the blocks of a document; returns its stage as they leave it.
fn play(document: &str) -> anyhow::Result<Stage> {
    let stage = Stage::set()?;
    let (mut printed, mut played) = (String::new(), 0);
    for block in blocks(&read(document)?).iter().filter(|block| block.expectation != Expectation::NotRun) {
        match block.language.as_str() {
            "sql" | "sh" => {
                printed = stage.play(document, block)?;
                played += 1;
            }
            "output" => {
                let lines: BTreeSet<&str> = printed.lines().map(str::trim_end).collect();
                let missing = block.text.lines().find(|line| !line.is_empty() && !lines.contains(line));
                ensure!(missing.is_none(), "{document}:{}: {missing:?} is not in\n{printed}", block.line);
            }
            _ => (),
        }
    }
    ensure!(played > 0, "{document} has nothing to run");
    Ok(stage)
}

#[tokio::test]
async fn the_commands_of_the_readme_do_what_it_says() -> anyhow::Result<()> {
    let stage = play("README.md")?;
    let client = stage.cluster.connect("postgres").await?;
    let orders: i64 = client.query_one("select count(*) from cdc_orders", &[]).await?.get(0);
    assert!(orders > 0, "the replayed events made no orders");
    Ok(())
}

#[test]
fn the_commands_of_the_manual_of_pushes_run() -> anyhow::Result<()> {
    play("docs/push.md").map(drop)
}

#[test]
fn the_commands_of_the_bridge_manual_run() -> anyhow::Result<()> {
    play("docs/bridge.md").map(drop)
}

#[test]
fn the_commands_of_the_manual_of_enrichment_run() -> anyhow::Result<()> {
    play("docs/enrichment.md").map(drop)
}

#[tokio::test]
async fn after_the_operations_manual_there_is_a_restored_database() -> anyhow::Result<()> {
    let stage = play("docs/operations.md")?;
    let (original, restored) =
        (stage.cluster.connect("postgres").await?, stage.cluster.connect("ods_restored").await?);
    for sql in [
        "select string_agg(t::text, ' ' order by t) from refunds t",
        "select string_agg(concat_ws(' ', source_table, target_table, owner), ' ') from cdc.attachments",
        "select string_agg(concat_ws(' ', id, status, payload), ' ' order by id) from cdc.dlq",
    ] {
        let [left, right] = [original.query_one(sql, &[]).await?, restored.query_one(sql, &[]).await?];
        let (left, right): (Option<String>, Option<String>) = (left.get(0), right.get(0));
        assert_eq!(left, right, "{sql}");
        assert!(left.is_some(), "nothing was compared: {sql}");
    }
    // A new dead letter finds a number of its own.
    restored.batch_execute("select cdc.ingest('t', '?'); select cdc.flush()").await?;
    let letters: i64 = restored.query_one("select count(*) from cdc.dlq", &[]).await?.get(0);
    assert_eq!(letters, 3);
    Ok(())
}

#[test]
fn every_link_leads_somewhere() -> anyhow::Result<()> {
    for document in DOCUMENTS {
        let text = read(document)?;
        let folder = repository().join(document).parent().context("a document is in a folder")?.to_owned();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if target.contains("://") {
                continue;
            }
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            let file = if path.is_empty() { repository().join(document) } else { folder.join(path) };
            ensure!(file.exists(), "{document}: {target} leads nowhere");
            let headings = || fs::read_to_string(&file).map(|text| anchors(&text));
            ensure!(anchor.is_empty() || headings()?.contains(anchor), "{document}: no heading for {target}");
        }
    }
    Ok(())
}

/// The anchors of a document's headings, made as forges make them.
fn anchors(markdown: &str) -> BTreeSet<String> {
    let headings =
        markdown.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#'));
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    headings
        .map(|text| text.trim().to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-"))
        .collect()
}

#[tokio::test]
async fn the_tables_of_functions_and_settings_are_complete() -> anyhow::Result<()> {
    let cluster = Cluster::start()?;
    let client = cluster.connect("postgres").await?;
    client.batch_execute("create extension pg_cdc_ods").await?;

    let readme = read("README.md")?;
    let callable = "select distinct proname::text from pg_proc
                     where pronamespace = 'cdc'::regnamespace and has_function_privilege('cdc_admin', oid, 'execute')";
    for row in client.query(callable, &[]).await? {
        let name: &str = row.get(0);
        let shown = INNER_FUNCTIONS.contains(&name) || readme.contains(&format!("`{name}("));
        assert!(shown, "the README's table of the SQL surface lacks {name}");
    }

    let manual = read("docs/operations.md")?;
    let settings = "select name, current_setting(name) from pg_settings where name like 'pg\\_cdc\\_ods.%'";
    for row in client.query(settings, &[]).await? {
        let (name, value) = (row.get::<_, &str>(0), row.get::<_, &str>(1));
        let default = if value.is_empty() { "empty".to_owned() } else { format!("`{value}`") };
        let line = format!("| `{name}` | {default} |");
        assert!(manual.contains(&line), "docs/operations.md lacks {line}");
    }
    Ok(())
}

#[tokio::test]
async fn every_object_of_the_schema_that_is_named_exists() -> anyhow::Result<()> {
    let cluster = Cluster::start()?;
    let client = cluster.connect("postgres").await?;
    client.batch_execute("create extension pg_cdc_ods").await?;
    let exists = "select to_regclass('cdc.' || $1::text) is not null
                      or exists (select from pg_proc where pronamespace = 'cdc'::regnamespace and proname = $1)";
    for document in DOCUMENTS {
        let text = read(document)?;
        let named = text.split("cdc.").skip(1).zip(text.split("cdc.")).filter(|(_, before)| {
            !before.ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '/' | '-' | '.'))
        });
        for (rest, _) in named {
            let end = rest.find(|c: char| !c.is_ascii_lowercase() && !c.is_ascii_digit() && c != '_');
            let name = &rest[..end.unwrap_or(rest.len())];
            // Names of queues look like those of the schema's objects, and `cdc.inbox_*` stands for several.
            if name.is_empty() || name == "orders" || name.ends_with('_') {
                continue;
            }
            let found: bool = client.query_one(exists, &[&name]).await?.get(0);
            assert!(found, "{document} names cdc.{name}, which does not exist");
        }
    }
    Ok(())
}

#[test]
fn every_setting_of_the_bridge_is_in_its_manual() -> anyhow::Result<()> {
    let output = Command::new(paths::program("cdc-bridge")?).args(["run", "--help"]).output()?;
    let help = String::from_utf8_lossy(&output.stdout);
    let manual = read("docs/bridge.md")?;
    let mut settings = 0;
    for line in help.lines() {
        // As in "  SOLACE_PORT (solace.port) [default: 55555]".
        let Some((variable, rest)) = line.trim().split_once(" (") else { continue };
        let Some((key, rest)) = rest.split_once(')').filter(|(key, _)| key.contains('.')) else { continue };
        if !variable.chars().all(|c| c.is_ascii_uppercase() || c == '_') {
            continue;
        }
        let default = rest.trim().strip_prefix("[default: ").and_then(|rest| rest.strip_suffix(']'));
        let default = default.map(|text| format!("`{text}` ")).unwrap_or_default();
        let row = format!("| `{key}` | `{variable}` | {default}|");
        if !manual.contains(&row) {
            bail!("docs/bridge.md lacks a row {row}");
        }
        settings += 1;
    }
    ensure!(settings > 20, "only {settings} settings in:\n{help}");
    Ok(())
}
