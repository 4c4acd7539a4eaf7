//! A statement for either database, with its arguments. The text depends on the shape of the question alone, never on the
//! names in it, so that a prepared one is found again.

use trunkline_actors::money::Usd;

/// Which database the text is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::storage) enum Dialect {
    Sqlite,
    Postgres,
}

/// An argument, in the order of the places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::storage) enum Arg {
    Text(String),
    /// A list; see [`Statement::one_of`].
    Texts(Vec<String>),
    Whole(i64),
    /// Days since 1970-01-01.
    Day(i64),
    Money(Usd),
}

/// A statement in the making.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::storage) struct Statement {
    dialect: Dialect,
    pub(in crate::storage) sql: String,
    pub(in crate::storage) args: Vec<Arg>,
}

// === impl Statement ===

impl Statement {
    pub(in crate::storage) fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            sql: String::new(),
            args: Vec::new(),
        }
    }

    pub(in crate::storage) fn push(&mut self, sql: &str) {
        self.sql.push_str(sql);
    }

    /// The name of a table.
    pub(in crate::storage) fn table(&self, name: &str) -> String {
        match self.dialect {
            Dialect::Sqlite => name.to_owned(),
            Dialect::Postgres => format!("trunkline.{name}"),
        }
    }

    /// The place of a new argument, with its type where the database asks for it.
    pub(in crate::storage) fn place(&mut self, arg: Arg) -> String {
        let kind = match &arg {
            Arg::Text(_) => "text",
            Arg::Texts(_) => "text[]",
            Arg::Whole(_) => "bigint",
            Arg::Day(_) => "text::date",
            Arg::Money(_) => "text::numeric",
        };
        self.args.push(arg);
        let at = self.args.len();
        match self.dialect {
            Dialect::Sqlite => format!("?{at}"),
            Dialect::Postgres => format!("${at}::{kind}"),
        }
    }

    /// The condition that the column holds one of the names.
    pub(in crate::storage) fn one_of(&mut self, column: &str, mut names: Vec<String>) -> String {
        if names.len() == 1 {
            let name = names.pop().unwrap_or_default();
            let place = self.place(Arg::Text(name));
            return format!("{column} = {place}");
        }
        let place = self.place(Arg::Texts(names));
        match self.dialect {
            Dialect::Sqlite => format!("{column} IN (SELECT value FROM json_each({place}))"),
            Dialect::Postgres => format!("{column} = ANY({place})"),
        }
    }
}
