//! The whole way through the real parts: generator, libsolclient, broker, bridge, extension.
//!
//! The broker is the loopback double (in memory, see tests/smf-loopback), or the Solace broker that SOLACE_TEST_HOST
//! names; everything else is what users run.

mod broker_faults;
mod database_down;
mod kills;
mod no_faults;
