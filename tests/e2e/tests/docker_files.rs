//! What can be checked of `docker/` without a container engine: paths, names of settings, secrets, the set-up script.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use harness::cluster::{Cluster, SUPERUSER};
use harness::paths;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[expect(clippy::unwrap_used, reason = "a file that is missing fails the test that asks for it")]
fn read(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap()
}

fn run(command: &mut Command) -> anyhow::Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {command:?}"))?;
    let complaints = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?} failed: {complaints}");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The keys directly below `path` in a YAML document of mappings with two spaces of indentation, such as compose.yml.
fn yaml_keys(document: &str, path: &[&str]) -> BTreeSet<String> {
    let mut lines = document.lines().filter(|line| !line.trim_start().starts_with('#')).peekable();
    for (depth, key) in path.iter().enumerate() {
        let wanted = format!("{}{key}:", "  ".repeat(depth));
        lines.by_ref().find(|line| line.trim_end() == wanted).unwrap_or_else(|| panic!("no {path:?}"));
    }
    let indent = "  ".repeat(path.len());
    lines
        .take_while(|line| line.is_empty() || line.starts_with(&indent))
        .filter_map(|line| line.strip_prefix(&indent)?.split_once(':'))
        .filter(|(key, _)| !key.starts_with(' '))
        .map(|(key, _)| key.to_owned())
        .collect()
}

/// Whether `.dockerignore` lets the path into the build context. Its exceptions are plain paths.
fn is_sent_to_builder(path: &str) -> bool {
    let ignore = read(".dockerignore");
    let mut exceptions = ignore.lines().filter_map(|line| line.strip_prefix('!'));
    path == "." || exceptions.any(|kept| Path::new(path).starts_with(kept))
}

#[test]
fn every_setting_of_the_bridge_exists() -> anyhow::Result<()> {
    let help = run(Command::new(paths::program("cdc-bridge")?).args(["run", "--help"]))?;
    let known: BTreeSet<&str> = help.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
    let used = yaml_keys(&read("docker/compose.yml"), &["services", "bridge", "environment"]);
    assert!(used.contains("SOLACE_PASSWORD_FILE"), "{used:?}");
    for name in used {
        assert!(known.contains(name.as_str()), "cdc-bridge knows no {name}");
    }
    Ok(())
}

#[test]
fn every_copied_path_exists_and_is_sent_to_the_builder() {
    let dockerfile = read("docker/Dockerfile");
    let stages: BTreeSet<&str> =
        dockerfile.lines().filter_map(|line| line.split_once(" AS ")).map(|s| s.1).collect();
    for line in dockerfile.lines().filter_map(|line| line.strip_prefix("COPY ")) {
        match line.strip_prefix("--from=").and_then(|rest| rest.split_once(' ')) {
            Some((stage, _)) => assert!(stages.contains(stage), "no stage {stage}"),
            None => {
                let source = line.split(' ').next().unwrap();
                assert!(repository().join(source).exists(), "no {source}");
                assert!(is_sent_to_builder(source), ".dockerignore keeps {source} out");
            }
        }
    }
    let targets = ["postgres", "bridge"];
    assert!(targets.iter().all(|target| stages.contains(target)), "{stages:?}");
}

#[test]
fn the_images_build_with_the_toolchain_of_the_workspace() {
    let toolchain = read("rust-toolchain.toml");
    let version = toolchain.split('"').nth(1).unwrap();
    let dockerfile = read("docker/Dockerfile");
    for line in [format!("ARG RUST_IMAGE=rust:{version}-bookworm"), format!("ENV RUSTUP_TOOLCHAIN={version}")]
    {
        assert!(dockerfile.contains(&line), "the Dockerfile lacks {line}");
    }
}

#[test]
fn the_script_makes_every_secret_once_and_for_its_owner() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let secrets = folder.path().join("secrets");
    let script = repository().join("docker/make-secrets.sh");
    let make = || run(Command::new(&script).arg(&secrets));
    make()?;
    let wanted = yaml_keys(&read("docker/compose.yml"), &["secrets"]);
    assert_eq!(wanted.len(), 4, "{wanted:?}");
    let values =
        || wanted.iter().map(|name| fs::read_to_string(secrets.join(name)).unwrap()).collect::<Vec<_>>();
    let first = values();
    assert!(first.iter().all(|value| value.trim().len() == 32), "a password is short");
    assert_eq!(first.iter().collect::<BTreeSet<_>>().len(), first.len(), "two passwords are the same");
    assert_eq!(fs::metadata(&secrets)?.permissions().mode() & 0o777, 0o700);

    make()?;
    assert_eq!(values(), first);
    Ok(())
}

/// The names in a list on one line, as in `secrets: [a, b]`.
fn listed(line: &str) -> impl Iterator<Item = &str> {
    let list = line.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
    list.map(|(names, _)| names).unwrap_or_default().split(", ").filter(|name| !name.is_empty())
}

#[test]
fn services_use_the_secrets_volumes_and_stages_that_there_are() {
    let compose = read("docker/compose.yml");
    let (secrets, volumes) = (yaml_keys(&compose, &["secrets"]), yaml_keys(&compose, &["volumes"]));
    let dockerfile = read("docker/Dockerfile");
    for line in compose.lines().map(str::trim) {
        if line.starts_with("secrets: [") {
            assert!(listed(line).all(|secret| secrets.contains(secret)), "{line}");
        } else if line.starts_with("volumes: [") {
            let volume = line.split(['"', ':']).nth(2).unwrap_or_default();
            assert!(volumes.contains(volume), "{line}");
        } else if let Some(stage) = line.strip_prefix("target: ") {
            assert!(dockerfile.contains(&format!(" AS {stage}\n")), "{line}");
        }
    }
    for name in secrets {
        assert!(compose.contains(&format!("    file: secrets/{name}\n")), "no file for {name}");
        assert!(compose.contains(&format!("/run/secrets/{name}\n")), "nobody reads {name}");
    }
}

/// Passwords are made on the spot: none stands in a file of the folder, and git and the builder skip those made.
#[test]
fn no_password_is_kept_in_the_repository() {
    let files = ["docker/compose.yml", "docker/Dockerfile", "docker/initdb/10-ods.sh"].map(read);
    let given = files.iter().flat_map(|file| file.lines()).find(|line| line.contains("PASSWORD: "));
    assert_eq!(given, None, "a password itself instead of its file");
    assert_eq!(read("docker/.gitignore").trim(), "/secrets/");
    assert!(!is_sent_to_builder("docker/secrets"));
}

#[tokio::test]
async fn the_setup_script_makes_a_database_that_the_bridge_can_use() -> anyhow::Result<()> {
    let cluster = Cluster::start()?;
    let folder = tempfile::tempdir()?;
    let password = folder.path().join("password");
    fs::write(&password, "it's \\secret\n")?;
    run(Command::new(repository().join("docker/initdb/10-ods.sh"))
        .env("PATH", format!("{}:{}", paths::bin_dir()?.display(), std::env::var("PATH")?))
        .env("PGHOST", cluster.socket_dir())
        .env("PGPORT", cluster.port().to_string())
        .env("POSTGRES_USER", SUPERUSER)
        .env("POSTGRES_DB", "postgres")
        .env("BRIDGE_PASSWORD_FILE", &password))?;

    let client = cluster.connect("postgres").await?;
    let tables: i64 = client.query_one("select count(*) from cdc.state", &[]).await?.get(0);
    assert!(tables >= 5, "{tables} tables");
    client.batch_execute("set role cdc_bridge; insert into cdc.inbox (topic) values ('t')").await?;
    Ok(())
}
