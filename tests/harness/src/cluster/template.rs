//! A cluster that `initdb` made once, copied for each new one, which is many times quicker.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use super::SUPERUSER;
use super::installation::{Installation, run};

/// Copies the template in `run_root`, which is made if it is missing, to `data`.
pub(super) fn copy(installation: &Installation, run_root: &Path, data: &Path) -> anyhow::Result<()> {
    let template = run_root.join(format!("template-{}", version(installation)?));
    if !template.exists() {
        make(installation, run_root, &template)?;
    }
    let parent = data.parent().unwrap_or(run_root);
    let mut copy = installation.as_server_user(Command::new("cp"), parent);
    copy.args(["-a", "--reflink=auto", "-T"]).arg(&template).arg(data);
    run(copy)
}

/// Makes the template beside its place and moves it there; of several tests that do so at once, the first wins.
fn make(installation: &Installation, run_root: &Path, template: &Path) -> anyhow::Result<()> {
    let folder = installation.folder_in(run_root)?;
    let data = folder.path().join("data");
    let mut initdb = installation.command("initdb", folder.path());
    initdb.arg("-D").arg(&data).args(["-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "--no-locale", "-N"]);
    run(initdb)?;
    let moved = fs::rename(&data, template);
    ensure!(
        template.exists(),
        "cannot move a new cluster to {}: {}",
        template.display(),
        moved.err().map(|error| error.to_string()).unwrap_or_default()
    );
    Ok(())
}

/// What `postgres --version` says, fit for a file name: a template is good for one version of the server.
fn version(installation: &Installation) -> anyhow::Result<String> {
    let program: PathBuf = installation.bin_dir.join("postgres");
    let output = Command::new(&program).arg("--version").output();
    let output = output.with_context(|| format!("cannot run {}", program.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let word = text.split_whitespace().nth(2).unwrap_or("unknown");
    Ok(word.replace('/', "-"))
}
