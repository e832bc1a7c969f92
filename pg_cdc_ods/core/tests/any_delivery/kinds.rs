//! Column types, and values of them in several spellings.

use std::fmt;

/// A value, as events may write it.
#[derive(Debug)]
pub(crate) struct Sample {
    /// The text that the server reads.
    pub(crate) text: &'static str,
    /// JSON that means it.
    spellings: &'static [&'static str],
}

/// A column type with a few different values.
pub(crate) struct Kind {
    pub(crate) sql_name: &'static str,
    samples: &'static [Sample],
}

impl Kind {
    /// One of its values, counted round and round.
    pub(crate) fn sample(&self, number: usize) -> &Sample {
        &self.samples[number % self.samples.len()]
    }
}

impl Sample {
    /// One of its spellings, counted round and round.
    pub(crate) fn spelling(&self, number: usize) -> &'static str {
        self.spellings[number % self.spellings.len()]
    }
}

/// A failure shows its target; the samples stand below.
impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sql_name)
    }
}

const fn sample(text: &'static str, spellings: &'static [&'static str]) -> Sample {
    Sample { text, spellings }
}

const BIGINT: Kind = Kind {
    sql_name: "bigint",
    samples: &[
        sample("7", &["7", "\"7\"", "7.0"]),
        sample("-1", &["-1", "\"-1\""]),
        sample("9007199254740993", &["9007199254740993", "\"9007199254740993\""]),
    ],
};
const TEXT: Kind = Kind {
    sql_name: "text",
    samples: &[
        sample("a", &["\"a\"", "\"\\u0061\""]),
        sample("A", &["\"A\""]),
        sample("Zoë ", &["\"Zoë \"", "\"Zo\\u00eb \""]),
    ],
};
const UUID: Kind = Kind {
    sql_name: "uuid",
    samples: &[
        sample(
            "0b0d8d4e-7a52-4a57-9c5e-0a9a3c1d2e3f",
            &["\"0b0d8d4e-7a52-4a57-9c5e-0a9a3c1d2e3f\"", "\"0B0D8D4E-7A52-4A57-9C5E-0A9A3C1D2E3F\""],
        ),
        sample("00000000-0000-0000-0000-000000000000", &["\"00000000-0000-0000-0000-000000000000\""]),
        sample("00000000-0000-0000-0000-000000000001", &["\"00000000-0000-0000-0000-000000000001\""]),
    ],
};
const DATE: Kind = Kind {
    sql_name: "date",
    samples: &[
        sample("2024-01-15", &["19737", "\"2024-01-15\"", "1705276800000"]),
        sample("1969-12-31", &["-1", "\"1969-12-31\""]),
        sample("infinity", &["\"infinity\""]),
    ],
};
const TIMESTAMP: Kind = Kind {
    sql_name: "timestamp without time zone",
    samples: &[
        sample(
            "2024-01-15 10:30:00.123",
            &[
                "1705314600123",
                "1705314600123000",
                "\"2024-01-15T10:30:00.123\"",
                "\"2024-01-15T12:30:00.123000+02:00\"",
            ],
        ),
        sample("9999-12-31 00:00:00", &["253402214400000", "\"9999-12-31T00:00:00\""]),
        sample("2024-01-15 10:30:00", &["\"2024-01-15 10:30:00\"", "1705314600000"]),
    ],
};
const BYTEA: Kind = Kind {
    sql_name: "bytea",
    samples: &[
        sample("\\xcafebabe", &["\"yv66vg==\"", "\"yv66vg\"", "\"\\\\xcafebabe\""]),
        sample("\\x", &["\"\""]),
        sample("\\x00", &["\"AA==\""]),
    ],
};
/// As a key, in which digits that say nothing do not count.
const NUMERIC_KEY: Kind = Kind {
    sql_name: "numeric",
    samples: &[
        sample("1.5", &["1.5", "\"1.50\"", "\"01.5\"", r#"{"scale": 1, "value": "Dw=="}"#]),
        sample("-15", &["-15", "\"-15.00\""]),
        sample(
            "12345678901234567890123456789012345678.1",
            &["12345678901234567890123456789012345678.1", "\"12345678901234567890123456789012345678.10\""],
        ),
    ],
};
/// As a value, which keeps its digits.
const NUMERIC: Kind = Kind {
    sql_name: "numeric",
    samples: &[
        sample("1.5", &["1.5", "\"1.5\"", r#"{"scale": 1, "value": "Dw=="}"#]),
        sample("1.50", &["1.50", r#"{"scale": 2, "value": "AJY="}"#]),
        sample("NaN", &["\"NaN\""]),
    ],
};
const BOOLEAN: Kind = Kind {
    sql_name: "boolean",
    samples: &[sample("true", &["true", "1", "\"Y\""]), sample("false", &["false", "0", "\"N\""])],
};
const JSONB: Kind = Kind {
    sql_name: "jsonb",
    samples: &[
        sample(r#"{"a": [1.50, null]}"#, &[r#"{"a": [1.50, null]}"#, r#""{\"a\": [1.50, null]}""#]),
        sample("[]", &["[]", "\"[]\""]),
    ],
};
const INTERVAL: Kind = Kind {
    sql_name: "interval",
    samples: &[sample("PT1.5S", &["1500000", "\"PT1.5S\""]), sample("P1Y2M", &["\"P1Y2M\""])],
};
const ARRAY: Kind = Kind {
    sql_name: "integer[]",
    samples: &[sample("{\"1\",NULL}", &["[1, null]", "[\"1\", null]"]), sample("{}", &["[]"])],
};

/// What keys are made of: three values each.
pub(crate) const KEYS: [&Kind; 7] = [&BIGINT, &NUMERIC_KEY, &TEXT, &UUID, &DATE, &TIMESTAMP, &BYTEA];

/// What other columns are made of.
pub(crate) const VALUES: [&Kind; 11] =
    [&BIGINT, &NUMERIC, &TEXT, &UUID, &DATE, &TIMESTAMP, &BYTEA, &BOOLEAN, &JSONB, &INTERVAL, &ARRAY];

/// Texts, of columns that rules read and of documents.
pub(crate) const WORDS: Kind = Kind {
    sql_name: "text",
    samples: &[
        sample("Y", &["\"Y\""]),
        sample("N", &["\"N\""]),
        sample("<a/>", &["\"<a/>\"", "\"\\u003ca/>\""]),
    ],
};

/// Values of columns without a place, which are kept as they came.
pub(crate) const EXTRAS: Kind = Kind {
    sql_name: "jsonb",
    samples: &[sample("1.50", &["1.50"]), sample("\"x\"", &["\"x\""]), sample("{\"a\": 1}", &["{\"a\": 1}"])],
};
