//! Counters on Redis, looked at and charged by one script: exact, whoever else does so at the same time.

use limitador::counter::Counter;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, RedisError, Script};

/// For each counter: what is used of it, and the milliseconds until its window ends, or a negative number where none has
/// begun. Before them, 1 when the request is over a limit, and nothing was charged.
const CHECK_AND_CHARGE: &str = r"
local over = 0
for number, key in ipairs(KEYS) do
  local used = tonumber(redis.call('GET', key) or '0')
  if used + tonumber(ARGV[3 * number - 2]) > tonumber(ARGV[3 * number - 1]) then over = 1 end
end
local answer = {over}
for number, key in ipairs(KEYS) do
  if over == 0 then
    redis.call('INCRBY', key, ARGV[3 * number - 2])
    if redis.call('PTTL', key) < 0 then redis.call('PEXPIRE', key, ARGV[3 * number]) end
  end
  table.insert(answer, tonumber(redis.call('GET', key) or '0'))
  table.insert(answer, redis.call('PTTL', key))
end
return answer
";

/// The connection.
#[derive(Clone)]
pub struct RedisCounters {
    connection: ConnectionManager,
    script: Script,
}

impl RedisCounters {
    /// Connects to `redis://127.0.0.1:6379` or the like.
    ///
    /// # Errors
    /// When it cannot be reached.
    pub async fn connect(url: &str) -> Result<Self, RedisError> {
        // Who asks has a time limit of its own. Half a second, which is the default here, is over on a busy machine while the
        // script has charged.
        let patient = ConnectionManagerConfig::new()
            .set_response_timeout(None)
            .set_connection_timeout(None);
        let client = Client::open(url)?;
        Ok(RedisCounters {
            connection: client.get_connection_manager_with_config(patient).await?,
            script: Script::new(CHECK_AND_CHARGE),
        })
    }

    /// Charges all counters so many hits each, or none of them. Says what is left of each and when its window ends.
    ///
    /// # Errors
    /// When Redis fails.
    pub async fn charge(&self, counters: &mut [(Counter, u64)]) -> Result<bool, RedisError> {
        if counters.is_empty() {
            return Ok(false);
        }
        let mut call = self.script.prepare_invoke();
        for (counter, hits) in counters.iter() {
            call.key(name(counter));
            call.arg(*hits)
                .arg(counter.max_value())
                .arg(u64::try_from(counter.window().as_millis()).unwrap_or(u64::MAX));
        }
        let answer: Vec<i64> = call.invoke_async(&mut self.connection.clone()).await?;
        let positive = |number: Option<&i64>| number.and_then(|number| u64::try_from(*number).ok());
        let pairs = answer.get(1..).unwrap_or_default().chunks(2);
        for ((counter, _), pair) in counters.iter_mut().zip(pairs) {
            let used = positive(pair.first()).unwrap_or_default();
            counter.set_remaining(counter.max_value().saturating_sub(used));
            if let Some(left) = positive(pair.get(1)) {
                counter.set_expires_in(std::time::Duration::from_millis(left));
            }
        }
        Ok(answer.first() == Some(&1))
    }
}

fn name(counter: &Counter) -> String {
    let (domain, window) = (counter.namespace(), counter.window().as_secs());
    let conditions = counter.limit().conditions();
    let variables = counter.set_variables();
    format!("{domain:?} {window} {conditions:?} {variables:?}")
}
