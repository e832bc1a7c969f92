//! The types of target columns, as far as conversion needs to know them.

/// The type of a target column.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ColumnType {
    /// `boolean`
    Bool,
    /// `smallint`
    Int2,
    /// `integer`
    Int4,
    /// `bigint`
    Int8,
    /// `real`
    Float4,
    /// `double precision`
    Float8,
    /// `numeric`, any precision
    Numeric,
    /// `text`, `varchar` or `char`
    Text,
    /// `bytea`
    Bytea,
    /// `date`
    Date,
    /// `time without time zone`
    Time,
    /// `time with time zone`
    TimeTz,
    /// `timestamp without time zone`
    Timestamp,
    /// `timestamp with time zone`
    TimestampTz,
    /// `interval`
    Interval,
    /// `uuid`
    Uuid,
    /// `bit varying`, and `bit` of any length
    Bit,
    /// `jsonb`
    Json,
    /// `json`, which keeps the text as it is
    JsonText,
    /// An array of another type.
    Array {
        /// The type of its elements.
        element: Box<ColumnType>,
        /// The SQL name of the array type.
        name: String,
    },
    /// Any other type, by its SQL name: the server reads the value from its text.
    Other(String),
}

impl ColumnType {
    /// The type of a column by its name as `format_type` prints it without modifiers.
    pub fn from_sql_name(name: &str) -> Self {
        match name {
            "boolean" => Self::Bool,
            "smallint" => Self::Int2,
            "integer" => Self::Int4,
            "bigint" => Self::Int8,
            "real" => Self::Float4,
            "double precision" => Self::Float8,
            "numeric" => Self::Numeric,
            "text" | "character varying" | "character" => Self::Text,
            "bytea" => Self::Bytea,
            "date" => Self::Date,
            "time without time zone" | "time" => Self::Time,
            "time with time zone" => Self::TimeTz,
            "timestamp without time zone" | "timestamp" => Self::Timestamp,
            "timestamp with time zone" => Self::TimestampTz,
            "interval" => Self::Interval,
            "uuid" => Self::Uuid,
            "bit" | "bit varying" => Self::Bit,
            "jsonb" => Self::Json,
            "json" => Self::JsonText,
            other => match other.strip_suffix("[]") {
                Some(element) => Self::array_of(Self::from_sql_name(element)),
                None => Self::Other(other.to_owned()),
            },
        }
    }

    /// The type of an array of `element`.
    pub fn array_of(element: Self) -> Self {
        let name = format!("{}[]", element.sql_name());
        Self::Array { element: Box::new(element), name }
    }

    /// The SQL name of the type, for a cast or a column definition.
    pub fn sql_name(&self) -> &str {
        match self {
            Self::Bool => "boolean",
            Self::Int2 => "smallint",
            Self::Int4 => "integer",
            Self::Int8 => "bigint",
            Self::Float4 => "real",
            Self::Float8 => "double precision",
            Self::Numeric => "numeric",
            Self::Text => "text",
            Self::Bytea => "bytea",
            Self::Date => "date",
            Self::Time => "time",
            Self::TimeTz => "timetz",
            Self::Timestamp => "timestamp",
            Self::TimestampTz => "timestamptz",
            Self::Interval => "interval",
            Self::Uuid => "uuid",
            Self::Bit => "bit varying",
            Self::Json => "jsonb",
            Self::JsonText => "json",
            Self::Array { name, .. } | Self::Other(name) => name,
        }
    }

    /// What an error says was expected.
    pub(super) fn expected(&self) -> std::borrow::Cow<'static, str> {
        let phrase = match self {
            Self::Bool => "a boolean",
            Self::Int2 => "a smallint",
            Self::Int4 => "an integer",
            Self::Int8 => "a bigint",
            Self::Float4 | Self::Float8 | Self::Numeric => "a number",
            Self::Text => "a text without zero characters",
            Self::Bytea => "bytes in base64",
            Self::Date => "a date",
            Self::Time => "a time of day",
            Self::TimeTz => "a time of day with time zone",
            Self::Timestamp => "a timestamp",
            Self::TimestampTz => "a timestamp with time zone",
            Self::Interval => "an interval",
            Self::Uuid => "a uuid",
            Self::Bit => "bits",
            Self::Json | Self::JsonText => "JSON without zero characters or lone surrogates",
            Self::Array { name, .. } | Self::Other(name) => return format!("a value of type {name}").into(),
        };
        phrase.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_the_catalog_prints_are_known() {
        assert_eq!(ColumnType::from_sql_name("timestamp with time zone"), ColumnType::TimestampTz);
        assert_eq!(ColumnType::from_sql_name("bit"), ColumnType::Bit);
        let array = ColumnType::from_sql_name("double precision[]");
        assert_eq!(array, ColumnType::array_of(ColumnType::Float8));
        assert_eq!(array.sql_name(), "double precision[]");
        assert_eq!(ColumnType::from_sql_name("public.geometry"), ColumnType::Other("public.geometry".into()));
    }
}
