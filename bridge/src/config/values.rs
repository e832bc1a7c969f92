//! Reads the texts of settings from a TOML file and the environment, and parses them.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs;
use std::path::Path;
use std::str::FromStr;

use super::settings::{self, FILE_ENV_SUFFIX, FILE_KEY_SUFFIX, Kind, Setting};
use crate::secret::Secret;

/// Why a configuration cannot be used. Names the key, never the value of a secret.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {path}")]
    Read {
        /// The file.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("the configuration file {path} is not valid TOML{place}: {message}")]
    Syntax {
        /// The file.
        path: String,
        /// Where in the file, if known.
        place: String,
        /// What is wrong. The line itself is not shown: it may hold a secret.
        message: String,
    },
    /// The file has a key that means nothing.
    #[error("unknown key {key} in the configuration file; `cdc-bridge run --help` lists all keys")]
    UnknownKey {
        /// The key, with its section.
        key: String,
    },
    /// A value cannot be used.
    #[error("{key} ({env}) {problem}")]
    Value {
        /// Key in the file.
        key: &'static str,
        /// Environment variable.
        env: &'static str,
        /// What is wrong with it.
        problem: String,
    },
}

impl ConfigError {
    pub(super) fn value(setting: &Setting, problem: impl Into<String>) -> Self {
        Self::Value { key: setting.key, env: setting.env, problem: problem.into() }
    }
}

/// The texts of the settings that are given, by key.
#[derive(Default)]
pub(super) struct Values {
    texts: BTreeMap<String, Vec<String>>,
}

impl Values {
    /// Reads `file`, if there is one, and lays over it the variables that `env` knows. Empty variables count as not
    /// set, as compose files pass them.
    pub(super) fn read(
        file: Option<&Path>,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let mut values = Self::default();
        if let Some(path) = file {
            let shown = path.display().to_string();
            let text = fs::read_to_string(path)
                .map_err(|source| ConfigError::Read { path: shown.clone(), source })?;
            values.add_file(&text, &shown)?;
        }
        values.add_environment(env);
        Ok(values)
    }

    pub(super) fn add_file(&mut self, text: &str, path: &str) -> Result<(), ConfigError> {
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| ConfigError::Syntax {
            path: path.to_owned(),
            place: line_of(text, error.span()),
            message: error.message().to_owned(),
        })?;
        for (section, content) in table {
            let toml::Value::Table(content) = content else {
                return Err(ConfigError::UnknownKey { key: section });
            };
            for (name, value) in content {
                let key = format!("{section}.{name}");
                let setting = known(&key).ok_or_else(|| ConfigError::UnknownKey { key: key.clone() })?;
                self.texts.insert(key, texts_of(value, setting)?);
            }
        }
        Ok(())
    }

    fn add_environment(&mut self, env: impl Fn(&str) -> Option<String>) {
        let set = |name: &str| env(name).filter(|text| !text.is_empty());
        for setting in settings::ALL {
            let texts = set(setting.env).map(|text| match setting.kind {
                Kind::List => text
                    .split(',')
                    .map(str::trim)
                    .filter(|part| !part.is_empty())
                    .map(str::to_owned)
                    .collect(),
                Kind::Single | Kind::Secret => vec![text],
            });
            let file =
                set(&format!("{}{FILE_ENV_SUFFIX}", setting.env)).filter(|_| setting.kind == Kind::Secret);
            let file_key = format!("{}{FILE_KEY_SUFFIX}", setting.key);
            // What the environment says of a secret replaces both forms that the file may have.
            if setting.kind == Kind::Secret && (texts.is_some() || file.is_some()) {
                self.texts.remove(setting.key);
                self.texts.remove(&file_key);
            }
            self.texts.extend(texts.map(|texts| (setting.key.to_owned(), texts)));
            self.texts.extend(file.map(|path| (file_key, vec![path])));
        }
    }

    /// The text of a setting, or its default.
    pub(super) fn text(&self, setting: &Setting) -> Result<String, ConfigError> {
        let text = self.optional(setting).unwrap_or(setting.default);
        if text.is_empty() { Err(ConfigError::value(setting, "is empty")) } else { Ok(text.to_owned()) }
    }

    /// The text of a setting that has no default.
    pub(super) fn optional(&self, setting: &Setting) -> Option<&str> {
        self.texts.get(setting.key)?.first().map(String::as_str).filter(|text| !text.is_empty())
    }

    /// The texts of a list, or its default.
    pub(super) fn list(&self, setting: &Setting) -> Vec<String> {
        match self.texts.get(setting.key) {
            Some(texts) => texts.clone(),
            None if setting.default.is_empty() => Vec::new(),
            None => vec![setting.default.to_owned()],
        }
    }

    /// A value of type `T`; `wanted` says in the error what it should be.
    pub(super) fn parsed<T: FromStr>(&self, setting: &Setting, wanted: &str) -> Result<T, ConfigError> {
        let text = self.text(setting)?;
        text.parse().map_err(|_| ConfigError::value(setting, format!("is {text:?}, not {wanted}")))
    }

    /// A number from `min` to `max`.
    pub(super) fn number<T: FromStr + PartialOrd + Display>(
        &self,
        setting: &Setting,
        min: T,
        max: T,
    ) -> Result<T, ConfigError> {
        let wanted = format!("a whole number from {min} to {max}");
        let number: T = self.parsed(setting, &wanted)?;
        if number < min || number > max {
            return Err(ConfigError::value(setting, format!("is {number}, not {wanted}")));
        }
        Ok(number)
    }

    /// A secret: given itself, or in a file, whose last line break does not count. Empty if it is not given.
    pub(super) fn secret(&self, setting: &Setting) -> Result<Secret, ConfigError> {
        let file_key = format!("{}{FILE_KEY_SUFFIX}", setting.key);
        match (self.optional(setting), self.texts.get(&file_key).and_then(|texts| texts.first())) {
            (Some(_), Some(_)) => {
                Err(ConfigError::value(setting, "is given twice, as itself and as a file; keep one"))
            }
            (Some(text), None) => Ok(Secret::new(text)),
            (None, Some(path)) => fs::read_to_string(path)
                .map(|text| Secret::new(text.strip_suffix('\n').unwrap_or(&text)))
                .map_err(|error| ConfigError::value(setting, format!("cannot be read from {path}: {error}"))),
            (None, None) => Ok(Secret::default()),
        }
    }
}

/// The setting of a key in the file, which for secrets may be that of a file.
fn known(key: &str) -> Option<&'static Setting> {
    settings::ALL.iter().find(|setting| {
        key == setting.key
            || setting.kind == Kind::Secret && key.strip_suffix(FILE_KEY_SUFFIX) == Some(setting.key)
    })
}

fn texts_of(value: toml::Value, setting: &Setting) -> Result<Vec<String>, ConfigError> {
    let single = |value| match value {
        toml::Value::String(text) => Ok(text),
        toml::Value::Integer(number) => Ok(number.to_string()),
        toml::Value::Boolean(value) => Ok(value.to_string()),
        other => Err(ConfigError::value(
            setting,
            format!("is of type {}, not a text, a whole number or a boolean", other.type_str()),
        )),
    };
    match (value, &setting.kind) {
        (toml::Value::Array(elements), Kind::List) => elements.into_iter().map(single).collect(),
        (_, Kind::List) => Err(ConfigError::value(setting, "is not an array of texts")),
        (value, _) => Ok(vec![single(value)?]),
    }
}

fn line_of(text: &str, span: Option<std::ops::Range<usize>>) -> String {
    let Some(before) = span.and_then(|span| text.get(..span.start)) else { return String::new() };
    format!(" in line {}", before.matches('\n').count() + 1)
}
