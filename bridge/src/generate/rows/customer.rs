//! CUSTOMERS: people who move house, change their phone and climb tiers.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::{Circumstances, Row};
use crate::generate::json_writer::{JsonWriter, Piece};
use crate::generate::table::{Table, pick_by_percent, pick_from};
use crate::generate::unix_micros::UnixMicros;

const FIRST_NAMES: [&str; 10] =
    ["Anna", "Björn", "Carla", "Dmitri", "Élodie", "Farid", "Grace", "Hiroshi", "Nguyễn", "Zoë"];
const LAST_NAMES: [&str; 10] =
    ["Andersen", "Brown", "Çelik", "Dubois", "García", "Łukasik", "Müller", "O'Brien", "Tanaka", "van Dijk"];
const STREETS: [&str; 5] = ["Main St", "Oak Ave", "Lindenstraße", "Via \"Roma\"", "Park Rd"];
const MAIL_DOMAINS: [&str; 3] = ["example.com", "example.net", "example.org"];

/// Cities with their countries.
const CITIES: [(&str, &str); 8] = [
    ("Berlin", "DE"),
    ("Kraków", "PL"),
    ("London", "GB"),
    ("Madrid", "ES"),
    ("New York", "US"),
    ("Paris", "FR"),
    ("São Paulo", "BR"),
    ("Tokyo", "JP"),
];

const TIERS: [&str; 4] = ["BRONZE", "SILVER", "GOLD", "PLATINUM"];
const TIER_PERCENTS: [u32; 4] = [50, 30, 15, 5];

/// Of so many customers one has an ADDRESSES document: where they live, and where they get their bills.
const WITH_ADDRESSES: i64 = 3;

/// A row of CUSTOMERS.
#[derive(Debug)]
pub(in crate::generate) struct Customer {
    key: i64,
    first_name: &'static str,
    last_name: &'static str,
    mail_domain: &'static str,
    phone: i64,
    house: i64,
    street: &'static str,
    city: (&'static str, &'static str),
    tier: &'static str,
    created: UnixMicros,
    updated: UnixMicros,
}

fn pick_tier(rng: &mut ChaCha8Rng) -> &'static str {
    TIERS[pick_by_percent(rng, &TIER_PERCENTS)]
}

fn pick_phone(rng: &mut ChaCha8Rng) -> i64 {
    rng.random_range(1_000_000..10_000_000)
}

impl Customer {
    /// The XML document in CUSTOMERS.ADDRESSES.
    fn addresses(&self) -> String {
        let Self { house, street, city: (city, _), phone, .. } = self;
        let zip = phone % 100_000;
        let address = |kind: &str, house: i64| {
            format!(
                "  <address type=\"{kind}\">\n    <street>{house} {street}</street>\n    <city>{city}</city>\n    \
                 <zip>{zip:05}</zip>\n  </address>\n"
            )
        };
        let (billing, shipping) = (address("billing", 1), address("shipping", *house));
        format!("<addresses>\n{billing}{shipping}</addresses>")
    }
}

impl Row for Customer {
    const TABLE: Table = Table::Customers;

    fn insert(key: i64, around: &mut Circumstances<'_>) -> Self {
        let rng = &mut *around.rng;
        Self {
            key,
            first_name: pick_from(rng, &FIRST_NAMES),
            last_name: pick_from(rng, &LAST_NAMES),
            mail_domain: pick_from(rng, &MAIL_DOMAINS),
            phone: pick_phone(rng),
            house: rng.random_range(1..=999),
            street: pick_from(rng, &STREETS),
            city: pick_from(rng, &CITIES),
            tier: pick_tier(rng),
            created: around.now,
            updated: around.now,
        }
    }

    fn update(&mut self, around: &mut Circumstances<'_>) {
        let rng = &mut *around.rng;
        match rng.random_range(0..4) {
            0 => self.tier = pick_tier(rng),
            1 => self.phone = pick_phone(rng),
            2 => self.mail_domain = pick_from(rng, &MAIL_DOMAINS),
            _ => {
                self.house = rng.random_range(1..=999);
                self.street = pick_from(rng, &STREETS);
                self.city = pick_from(rng, &CITIES);
            }
        }
        self.updated = around.now;
    }

    fn write_columns(&self, json: &mut JsonWriter) {
        let (city, country) = self.city;
        json.integer("CUSTOMER_ID", self.key);
        json.text("FIRST_NAME", self.first_name);
        json.text("LAST_NAME", self.last_name);
        let mail = [
            Piece::Text("customer"),
            Piece::Number(self.key),
            Piece::Text("@"),
            Piece::Text(self.mail_domain),
        ];
        json.text_of("EMAIL", &mail);
        json.text_of("PHONE", &[Piece::Text("+1-555-"), Piece::Number(self.phone)]);
        let address = [Piece::Number(self.house), Piece::Text(" "), Piece::Text(self.street)];
        json.text_of("ADDRESS", &address);
        json.text("CITY", city);
        json.text("COUNTRY", country);
        json.text("TIER", self.tier);
        json.timestamp("CREATED_AT", self.created);
        json.timestamp("UPDATED_AT", self.updated);
        if self.key % WITH_ADDRESSES == 0 {
            json.text("ADDRESSES", &self.addresses());
        }
    }
}
