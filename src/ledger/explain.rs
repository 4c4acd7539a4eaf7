//! What a row cost and why, for a person to follow with a pencil.

use std::fmt;

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use trunkline_actors::ids::{DeploymentId, KeyId, TeamId, UserId};
use trunkline_actors::money::Usd;
use trunkline_actors::ports::{SpendRecord, SpendStatus};

use super::LedgerError;
use super::recompute::{self, Verdict, at_price, tier};
use super::sheets::{Found, Sheets};
use crate::cost::{CostBreakdown, Line, ServiceTier, Sheet, SheetContents};
use crate::storage::LedgerAudit;

/// One row, explained.
#[derive(Debug, Clone)]
pub struct Explanation {
    row: SpendRecord,
    verdict: Verdict,
    sheet: Option<Found>,
    bill: Option<(CostBreakdown, Vec<Line>)>,
    adjustments: Vec<SpendRecord>,
}

/// Explains every row with that id, ours or the provider's; the newest first. None: there is no such row.
///
/// # Errors
/// The database's.
pub async fn explain(books: &dyn LedgerAudit, name: &str) -> Result<Vec<Explanation>, LedgerError> {
    let mut sheets = Sheets::default();
    let mut explanations = Vec::new();
    for row in books.rows_named(name.to_owned()).await? {
        let sheet = match &row.price_id {
            Some(id) => Some(sheets.get(books, id).await?),
            None => None,
        };
        let adjustments = books.adjustments(vec![row.id]).await?;
        explanations.push(Explanation::of(row, sheet, adjustments));
    }
    Ok(explanations)
}

impl Explanation {
    fn of(row: SpendRecord, sheet: Option<Found>, adjustments: Vec<SpendRecord>) -> Self {
        let bill = match &sheet {
            // An adjustment has no usage of its own.
            Some(Found::Sheet(contents)) if row.adjusts.is_none() => {
                at_price(&row, &contents.price)
            }
            _ => None,
        };
        Self {
            verdict: recompute::recompute(&row, sheet.as_ref()),
            row,
            sheet,
            bill,
            adjustments,
        }
    }

    /// Whether the row says what its price makes of it, as far as that can be told.
    pub fn agrees(&self) -> bool {
        self.row.status == SpendStatus::Adjustment
            || !matches!(self.verdict, Verdict::Other(_) | Verdict::NoSheet(_))
    }

    fn price(&self) -> Option<&SheetContents> {
        match &self.sheet {
            Some(Found::Sheet(contents)) => Some(contents),
            _ => None,
        }
    }

    /// What it all comes to, in a sentence.
    fn conclusion(&self) -> String {
        if let Some(of) = self.row.adjusts {
            return format!(
                "This row corrects {of}: it is the difference to what that one costs at this price."
            );
        }
        match &self.verdict {
            Verdict::Same => "The row says the same, to the last digit.".to_owned(),
            Verdict::Other(again) => format!(
                "THE ROW SAYS {}, AND ITS PRICE MAKES {} OF IT.",
                shown(self.row.cost),
                shown(*again)
            ),
            Verdict::Nothing => "Nothing was used, and nothing was charged.".to_owned(),
            Verdict::Unknown => "No price was known: the cost is unknown, not zero.".to_owned(),
            Verdict::NotKept(why) => format!("The cost cannot be worked out again: {why}."),
            Verdict::NoSheet(why) => format!("THE COST CANNOT BE WORKED OUT AGAIN: {why}."),
        }
    }

    /// The same for programs. Amounts are decimal texts in USD.
    pub fn to_json(&self) -> Value {
        let row = &self.row;
        let usd = |amount: Option<Usd>| amount.map(|amount| amount.to_string());
        let lines: Vec<Value> = self
            .lines()
            .map(|line| {
                json!({
                    "part": line.part.name(),
                    "count": line.count.normalize().to_string(),
                    "figure": format!("{}{}", line.figure.part.name(), line.figure.when),
                    "usd": line.figure.usd.to_string(),
                    "amount": line.amount.normalize().to_string(),
                })
            })
            .collect();
        let adjustments: Vec<Value> = self
            .adjustments
            .iter()
            .map(|one| {
                json!({"id": one.id, "cost": usd(one.cost), "price_version": one.price_version, "made_at": one.ended_at.0})
            })
            .collect();
        let bill = self.bill.as_ref().map(|(bill, _)| {
            json!({
                "list": bill.list().normalize().to_string(),
                "discount": bill.discount.normalize().to_string(),
                "margin": bill.margin.normalize().to_string(),
                "total": bill.total.to_string(),
            })
        });
        json!({
            "row": row,
            "cost": usd(row.cost),
            "agrees": self.agrees(),
            "conclusion": self.conclusion(),
            "price_sheet": self.price().map(|price| Sheet::new(&price.price, &price.version).text.to_string()),
            "service_tier": tier_name(tier(row)),
            "lines": lines,
            "recomputed": bill,
            "adjustments": adjustments,
            "cost_with_adjustments": usd(recompute::with_adjustments(row, &self.adjustments)),
        })
    }

    fn lines(&self) -> impl Iterator<Item = &Line> {
        self.bill.iter().flat_map(|(_, lines)| lines)
    }

    fn head(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = &self.row;
        let mut say = |name: &str, value: Option<&str>| match value {
            Some(value) => writeln!(f, "{name:<12} {value}"),
            None => Ok(()),
        };
        let id = row.id.to_string();
        say("row", Some(&id))?;
        say("request", row.provider_request_id.as_deref())?;
        let time = Timestamp::from_millisecond(i64::try_from(row.started_at.0).unwrap_or_default());
        let time = time.map(|time| time.to_string()).unwrap_or_default();
        say("received", Some(&time))?;
        let status = match row.status {
            SpendStatus::Success => "success",
            SpendStatus::Failure => "failure",
            SpendStatus::Unknown => "unknown: the process died before the end",
            SpendStatus::Adjustment => "adjustment",
        };
        say("status", Some(status))?;
        say("call", Some(&row.call_type))?;
        let model = format!("{}/{}", row.provider, row.model);
        say("model", Some(&model))?;
        say("group", Some(row.model_group.as_str()))?;
        say(
            "deployment",
            row.deployment.as_ref().map(DeploymentId::as_str),
        )?;
        say("key", row.key.as_ref().map(KeyId::as_str))?;
        say("user", row.user.as_ref().map(UserId::as_str))?;
        say("team", row.team.as_ref().map(TeamId::as_str))?;
        say("customer", row.end_user.as_deref())?;
        let usage = if row.usage_estimated {
            "estimated by the gateway"
        } else {
            "as the provider reported it"
        };
        say("usage", Some(usage))?;
        let price = match (&row.price_id, &row.price_version) {
            (Some(id), Some(version)) => Some(format!("{id}, of list {version}")),
            (Some(id), None) => Some(id.to_string()),
            _ => None,
        };
        say("price", price.as_deref())?;
        say("service", Some(tier_name(tier(row))))
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.head(f)?;
        if let Some((bill, lines)) = &self.bill {
            writeln!(f)?;
            let prompt = self.row.usage.prompt_tokens;
            for line in lines {
                let (part, figure) = (line.part, line.figure);
                let amount = format!(
                    "{} × {} = {}",
                    line.count.normalize(),
                    figure.usd,
                    line.amount.normalize()
                );
                write!(f, "  {:<14} {amount}", part.name())?;
                writeln!(f, "{}", why(line, prompt, tier(&self.row)))?;
            }
            writeln!(f, "  {:<14} {}", "list price", bill.list().normalize())?;
            if let Some(terms) = self.price().and_then(|price| price.price.terms()) {
                let discount = bill.discount.normalize();
                writeln!(
                    f,
                    "  {:<14} − {discount}   {} of the list price",
                    "discount", terms.discount
                )?;
                writeln!(
                    f,
                    "  {:<14} + {}   {} of what is left, and {} a call",
                    "margin",
                    bill.margin.normalize(),
                    terms.margin,
                    terms.fixed
                )?;
            }
            let exact: Decimal = bill.list() - bill.discount + bill.margin;
            writeln!(
                f,
                "  {:<14} {} → {}   half to even, at the twelfth place",
                "rounded",
                exact.normalize(),
                bill.total
            )?;
        }
        writeln!(f)?;
        writeln!(f, "{:<12} {}", "cost", shown(self.row.cost))?;
        writeln!(f, "{}", self.conclusion())?;
        if !self.adjustments.is_empty() {
            writeln!(f)?;
            for one in &self.adjustments {
                let list = one.price_version.as_deref().unwrap_or("none");
                writeln!(
                    f,
                    "adjusted by  {}   {}, list {list}",
                    shown(one.cost),
                    one.id
                )?;
            }
            let now = recompute::with_adjustments(&self.row, &self.adjustments);
            writeln!(f, "{:<12} {}", "cost now", shown(now))?;
        }
        Ok(())
    }
}

/// Why that figure and no other; nothing where it is the plain one of the part.
fn why(line: &Line, prompt: u64, asked: ServiceTier) -> String {
    let figure = line.figure;
    let mut reasons = Vec::new();
    if figure.part != line.part {
        reasons.push(format!(
            "no price of its own: that of {}",
            figure.part.name()
        ));
    }
    if figure.when.above > 0 {
        reasons.push(format!(
            "the prompt has {prompt} tokens, more than {}",
            figure.when.above
        ));
    }
    if figure.when.service != ServiceTier::Standard {
        reasons.push(format!("served as {}", figure.when.service.name()));
    } else if asked != ServiceTier::Standard {
        reasons.push(format!("no price of its own for {}", asked.name()));
    }
    if reasons.is_empty() {
        String::new()
    } else {
        format!("   ({})", reasons.join("; "))
    }
}

fn tier_name(tier: ServiceTier) -> &'static str {
    match tier.name() {
        "" => "standard",
        name => name,
    }
}

fn shown(cost: Option<Usd>) -> String {
    match cost {
        Some(cost) => format!("{cost} USD"),
        None => "unknown".to_owned(),
    }
}
