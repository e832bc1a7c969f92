//! What a value means at its source, beyond its JSON: Debezium's semantic types and Kafka Connect's logical types.

/// The unit of a count of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TimeUnit {
    /// Thousandths of a second.
    Millis,
    /// Millionths of a second.
    Micros,
    /// Thousand-millionths of a second.
    Nanos,
}

impl TimeUnit {
    /// Nanoseconds in one of this unit.
    pub(crate) fn nanos(self) -> i128 {
        match self {
            Self::Millis => 1_000_000,
            Self::Micros => 1_000,
            Self::Nanos => 1,
        }
    }
}

/// The meaning of one value. `docs/decoding.md` shows each with an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Meaning {
    /// There was no schema: only the JSON type is known.
    #[default]
    Unknown,
    /// `boolean`
    Boolean,
    /// `int8` and `int16`
    Int16,
    /// `int32`
    Int32,
    /// `int64`
    Int64,
    /// `float32`
    Float32,
    /// `float64`
    Float64,
    /// `string` without a name, and names that are texts with no form of their own (`Enum`, `EnumSet`, `Ltree` …)
    String,
    /// `bytes` without a name: base64
    Bytes,
    /// Bytes that the source's converter wrote as hexadecimal digits; only a column rule can say so
    HexBytes,
    /// A `struct` or `map` without a known name: a JSON document
    Document,
    /// `org.apache.kafka.connect.data.Decimal`: base64 of the unscaled integer, two's complement, big-endian
    Decimal {
        /// Digits after the point; may be negative.
        scale: i32,
    },
    /// `io.debezium.data.VariableScaleDecimal`: the same in a struct with its scale
    VariableScaleDecimal,
    /// Days since 1970-01-01: Debezium's `Date` and Kafka Connect's
    Date,
    /// A time of day, counted from midnight
    Time(TimeUnit),
    /// A wall-clock moment without zone, counted from 1970-01-01
    Timestamp(TimeUnit),
    /// ISO text of a moment with its zone
    ZonedTimestamp,
    /// ISO text of a time of day with its zone
    ZonedTime,
    /// ISO text of a date
    IsoDate,
    /// ISO text of a time of day
    IsoTime,
    /// ISO text of a moment
    IsoTimestamp,
    /// The number of a year
    Year,
    /// ISO text of an interval
    Interval,
    /// A count of time, as `MicroDuration` and `NanoDuration`
    Duration(TimeUnit),
    /// A JSON document in a string
    Json,
    /// An XML document in a string
    Xml,
    /// A UUID in a string
    Uuid,
    /// Bits in bytes, the lowest byte first
    Bits {
        /// How many there are, if the schema says.
        length: Option<u32>,
    },
    /// `io.debezium.data.geometry.Geometry` and `Geography`: a struct with `wkb` and `srid`
    Geometry,
    /// `io.debezium.data.geometry.Point`: the same with `x` and `y`
    Point,
    /// An object of the fields of a date, time or timestamp, as `time.precision.mode=structured` sends
    Structured(Structured),
}

/// Which of the structured temporal types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Structured {
    /// `io.debezium.time.StructuredDate`
    Date,
    /// `io.debezium.time.StructuredTime`
    Time,
    /// `io.debezium.time.StructuredTimestamp`
    Timestamp,
    /// `io.debezium.time.StructuredZonedTime`
    ZonedTime,
    /// `io.debezium.time.StructuredZonedTimestamp`
    ZonedTimestamp,
    /// `io.debezium.time.StructuredDuration`
    Duration,
}

/// The meaning of a column's value, or of each element of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SemanticType {
    /// The meaning.
    pub meaning: Meaning,
    /// Whether the value is an array of such.
    pub is_array: bool,
}

impl SemanticType {
    /// No schema: only the JSON type is known.
    pub const UNKNOWN: Self = Self { meaning: Meaning::Unknown, is_array: false };

    /// A single value.
    pub const fn of(meaning: Meaning) -> Self {
        Self { meaning, is_array: false }
    }

    /// An array of values.
    pub const fn array(meaning: Meaning) -> Self {
        Self { meaning, is_array: true }
    }
}

impl Meaning {
    /// The meaning of a semantic or logical type by its full name; `None` for a name that is not known.
    ///
    /// `parameter` gives a parameter of the schema, e.g. `scale`.
    pub fn from_name<'p>(name: &str, parameter: impl Fn(&str) -> Option<&'p str>) -> Option<Self> {
        if let Some(name) = name.strip_prefix("io.debezium.time.") {
            return Self::from_time_name(name);
        }
        if let Some(name) = name.strip_prefix("io.debezium.data.") {
            return Some(match name {
                "VariableScaleDecimal" => Self::VariableScaleDecimal,
                "Json" => Self::Json,
                "Xml" => Self::Xml,
                "Uuid" => Self::Uuid,
                "Bits" => Self::Bits { length: parameter("length").and_then(|text| text.parse().ok()) },
                "Enum" | "EnumSet" | "Ltree" | "TsVector" | "Tsvector" => Self::String,
                "geometry.Geometry" | "geometry.Geography" => Self::Geometry,
                "geometry.Point" => Self::Point,
                _ => return None,
            });
        }
        Some(match name.strip_prefix("org.apache.kafka.connect.data.")? {
            "Decimal" => Self::Decimal { scale: parameter("scale").and_then(|text| text.parse().ok())? },
            "Date" => Self::Date,
            "Time" => Self::Time(TimeUnit::Millis),
            "Timestamp" => Self::Timestamp(TimeUnit::Millis),
            _ => return None,
        })
    }

    fn from_time_name(name: &str) -> Option<Self> {
        Some(match name {
            "Date" => Self::Date,
            "Time" => Self::Time(TimeUnit::Millis),
            "MicroTime" => Self::Time(TimeUnit::Micros),
            "NanoTime" => Self::Time(TimeUnit::Nanos),
            "Timestamp" => Self::Timestamp(TimeUnit::Millis),
            "MicroTimestamp" => Self::Timestamp(TimeUnit::Micros),
            "NanoTimestamp" => Self::Timestamp(TimeUnit::Nanos),
            "ZonedTimestamp" => Self::ZonedTimestamp,
            "ZonedTime" => Self::ZonedTime,
            "IsoDate" => Self::IsoDate,
            "IsoTime" => Self::IsoTime,
            "IsoTimestamp" => Self::IsoTimestamp,
            "Year" => Self::Year,
            "Interval" => Self::Interval,
            "MicroDuration" => Self::Duration(TimeUnit::Micros),
            "NanoDuration" => Self::Duration(TimeUnit::Nanos),
            "StructuredDate" => Self::Structured(Structured::Date),
            "StructuredTime" => Self::Structured(Structured::Time),
            "StructuredTimestamp" => Self::Structured(Structured::Timestamp),
            "StructuredZonedTime" => Self::Structured(Structured::ZonedTime),
            "StructuredZonedTimestamp" => Self::Structured(Structured::ZonedTimestamp),
            "StructuredDuration" => Self::Structured(Structured::Duration),
            _ => return None,
        })
    }

    /// The meaning of a schema's own type, when it has no name that is known.
    pub(crate) fn from_type(type_name: &str) -> Self {
        match type_name {
            "boolean" => Self::Boolean,
            "int8" | "int16" => Self::Int16,
            "int32" => Self::Int32,
            "int64" => Self::Int64,
            "float" | "float32" => Self::Float32,
            "double" | "float64" => Self::Float64,
            "string" => Self::String,
            "bytes" => Self::Bytes,
            "struct" | "map" => Self::Document,
            _ => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Option<Meaning> {
        Meaning::from_name(name, |parameter| (parameter == "scale").then_some("2"))
    }

    #[test]
    fn names_of_both_families_are_known() {
        assert_eq!(named("io.debezium.time.MicroTimestamp"), Some(Meaning::Timestamp(TimeUnit::Micros)));
        assert_eq!(named("org.apache.kafka.connect.data.Decimal"), Some(Meaning::Decimal { scale: 2 }));
        assert_eq!(named("io.debezium.data.Enum"), Some(Meaning::String));
        for unknown in ["", "io.debezium.time.", "io.debezium.data.New", "com.example.Money"] {
            assert_eq!(named(unknown), None, "{unknown:?}");
        }
    }

    #[test]
    fn a_decimal_without_a_scale_is_not_known() {
        assert_eq!(Meaning::from_name("org.apache.kafka.connect.data.Decimal", |_| None), None);
    }
}
