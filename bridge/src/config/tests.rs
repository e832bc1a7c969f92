//! Which configurations are accepted, and what is said of the others.

use std::io::Write;

use super::*;

fn parse(file: &str, env: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let mut path = tempfile::NamedTempFile::new().unwrap();
    path.write_all(file.as_bytes()).unwrap();
    let env = |name: &str| env.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    Config::parse(&Values::read(Some(path.path()), env)?)
}

#[track_caller]
fn assert_error(file: &str, env: &[(&str, &str)], expected: &str) {
    let error = parse(file, env).unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
}

#[test]
fn without_anything_the_defaults_hold() {
    let config = parse("", &[]).unwrap();
    assert_eq!(config.bridge.name, "cdc-bridge");
    assert_eq!(config.bridge.batch.messages, 5000);
    assert_eq!(config.bridge.batch.bytes, 8 * 1024 * 1024);
    assert_eq!(config.bridge.batch.linger, Duration::ZERO);
    assert_eq!(config.solace.session.hosts, "tcp://localhost:55555");
    assert_eq!(config.solace.provisioning, Provisioning::None);
    assert_eq!(config.postgres.port, 5432);
    assert_eq!(config.postgres.ssl_mode, SslMode::Prefer);
    assert!(
        config.queues().unwrap_err().to_string().starts_with("solace.queues (SOLACE_QUEUES) names no queue")
    );
}

#[test]
fn the_example_file_is_valid_and_shows_every_setting() {
    let example = include_str!("../../cdc-bridge.example.toml");
    let config = parse(example, &[]).unwrap();
    assert_eq!(config.queues().unwrap(), ["cdc-oracle"]);
    let active: String =
        example.lines().map(|line| line.strip_prefix("#: ").unwrap_or(line)).collect::<Vec<_>>().join("\n");
    for setting in settings::ALL {
        let name = setting.key.split('.').nth(1).unwrap();
        assert!(
            active.lines().any(|line| line.starts_with(&format!("{name} = "))),
            "{} is missing",
            setting.key
        );
    }
}

#[test]
fn the_environment_wins_over_the_file() {
    let file = "[solace]\nhost = \"a\"\nqueues = [\"q1\"]\n[postgres]\nport = 1";
    let env = [("SOLACE_HOST", "b"), ("SOLACE_QUEUES", "q2, q3"), ("POSTGRES_PORT", "2"), ("SOLACE_VPN", "")];
    let config = parse(file, &env).unwrap();
    assert_eq!(config.solace.session.hosts, "tcp://b:55555");
    assert_eq!(config.queues().unwrap(), ["q2", "q3"]);
    assert_eq!(config.postgres.port, 2);
    assert_eq!(config.solace.session.vpn, "default");
}

#[test]
fn an_unknown_key_is_an_error() {
    assert_error("[solace]\nhots = \"a\"", &[], "unknown key solace.hots");
    assert_error("[solacee]\nhost = \"a\"", &[], "unknown key solacee.host");
    assert_error("host = \"a\"", &[], "unknown key host");
    assert_error("[solace]\nhost_file = \"a\"", &[], "unknown key solace.host_file");
}

#[test]
fn a_bad_value_is_named_with_what_is_wanted() {
    assert_error(
        "[postgres]\nport = 0",
        &[],
        "postgres.port (POSTGRES_PORT) is 0, not a whole number from 1 to 65535",
    );
    assert_error("[postgres]\nport = 1.5", &[], "postgres.port (POSTGRES_PORT) is of type float");
    assert_error("", &[("SOLACE_PORT", "x")], "solace.port (SOLACE_PORT) is \"x\"");
    assert_error("", &[("SOLACE_PROVISION", "yes")], "not true or false");
    assert_error("", &[("POSTGRES_SSLMODE", "on")], "verify-full");
    assert_error("[solace]\nqueues = \"q\"", &[], "is not an array");
    assert_error("", &[("SOLACE_QUEUES", "q,q")], "names \"q\" twice");
}

#[test]
fn batch_limits_are_accepted_up_to_their_bounds() {
    let messages =
        |text| parse("", &[("BATCH_MAX_MESSAGES", text)]).map(|config| config.bridge.batch.messages);
    assert_eq!(messages("1").unwrap(), 1);
    assert_eq!(messages("100000").unwrap(), MAX_BATCH_MESSAGES);
    assert!(messages("0").is_err() && messages("100001").is_err() && messages("-1").is_err());
    let bytes = |text| parse("", &[("BATCH_MAX_BYTES", text)]).map(|config| config.bridge.batch.bytes);
    assert_eq!(bytes("8192").unwrap(), MIN_BATCH_BYTES);
    assert_eq!(bytes("268435456").unwrap(), MAX_BATCH_BYTES);
    assert!(bytes("8191").is_err() && bytes("268435457").is_err());
}

#[test]
fn syntax_errors_tell_the_line_and_hide_it() {
    let error = parse("[solace]\npassword = hunter2", &[]).unwrap_err().to_string();
    assert!(error.contains("in line 2") && !error.contains("hunter2"), "{error}");
}

#[test]
fn secrets_come_from_files_without_their_line_break_and_never_show() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"hunter2\n").unwrap();
    let path = file.path().to_str().unwrap();
    let config = parse(
        "[postgres]\npassword = \"old\"",
        &[("POSTGRES_PASSWORD_FILE", path), ("SOLACE_PASSWORD", "hunter3")],
    )
    .unwrap();
    assert_eq!(config.postgres.password.expose(), "hunter2");
    assert_eq!(config.solace.session.password.expose(), "hunter3");
    assert!(!format!("{config:?}").contains("hunter"));
    assert_error("", &[("POSTGRES_PASSWORD_FILE", path), ("POSTGRES_PASSWORD", "x")], "given twice");
    assert_error("", &[("POSTGRES_PASSWORD_FILE", "/nonexistent")], "cannot be read from /nonexistent");
}

#[test]
fn tls_changes_scheme_and_port_and_wants_a_trust_store() {
    assert_error("", &[("SOLACE_TLS", "true")], "SOLACE_TLS_TRUST_STORE_DIR) is needed");
    let env = [("SOLACE_TLS", "true"), ("SOLACE_HOST", "a,b"), ("SOLACE_TLS_TRUST_STORE_DIR", "/ca")];
    let session = parse("", &env).unwrap().solace.session;
    assert_eq!(session.hosts, "tcps://a:55443,tcps://b:55443");
    assert_eq!(session.tls.check, CertificateCheck::Full);
    let env = [("SOLACE_HOST", "tcps://a:1"), ("SOLACE_TLS_VERIFY", "false")];
    let session = parse("", &env).unwrap().solace.session;
    assert_eq!(session.hosts, "tcps://a:1");
    assert_eq!(session.tls.check, CertificateCheck::None);
}
