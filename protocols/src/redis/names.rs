//! The commands of Redis, by which a connection is recognised. Once it is, a command may have any name.

use std::sync::{LazyLock, OnceLock};

/// Commands of Redis 8 and Valkey 8, in alphabetical order.
#[rustfmt::skip]
const COMMANDS: &[&str] = &[
    "ACL", "APPEND", "ASKING", "AUTH", "BGREWRITEAOF", "BGSAVE", "BITCOUNT", "BITFIELD", "BITFIELD_RO", "BITOP",
    "BITPOS", "BLMOVE", "BLMPOP", "BLPOP", "BRPOP", "BRPOPLPUSH", "BZMPOP", "BZPOPMAX", "BZPOPMIN", "CLIENT",
    "CLUSTER", "COMMAND", "CONFIG", "COPY", "DBSIZE", "DEBUG", "DECR", "DECRBY", "DEL", "DISCARD", "DUMP", "ECHO",
    "EVAL", "EVALSHA", "EVALSHA_RO", "EVAL_RO", "EXEC", "EXISTS", "EXPIRE", "EXPIREAT", "EXPIRETIME", "FAILOVER",
    "FCALL", "FCALL_RO", "FLUSHALL", "FLUSHDB", "FUNCTION", "GEOADD", "GEODIST", "GEOHASH", "GEOPOS", "GEORADIUS",
    "GEORADIUSBYMEMBER", "GEORADIUSBYMEMBER_RO", "GEORADIUS_RO", "GEOSEARCH", "GEOSEARCHSTORE", "GET", "GETBIT",
    "GETDEL", "GETEX", "GETRANGE", "GETSET", "HDEL", "HELLO", "HEXISTS", "HEXPIRE", "HEXPIREAT", "HEXPIRETIME",
    "HGET", "HGETALL", "HGETDEL", "HGETEX", "HINCRBY", "HINCRBYFLOAT", "HKEYS", "HLEN", "HMGET", "HMSET", "HPERSIST",
    "HPEXPIRE", "HPEXPIREAT", "HPEXPIRETIME", "HPTTL", "HRANDFIELD", "HSCAN", "HSET", "HSETEX", "HSETNX", "HSTRLEN",
    "HTTL", "HVALS", "INCR", "INCRBY", "INCRBYFLOAT", "INFO", "KEYS", "LASTSAVE", "LATENCY", "LCS", "LINDEX",
    "LINSERT", "LLEN", "LMOVE", "LMPOP", "LOLWUT", "LPOP", "LPOS", "LPUSH", "LPUSHX", "LRANGE", "LREM", "LSET",
    "LTRIM", "MEMORY", "MGET", "MIGRATE", "MODULE", "MONITOR", "MOVE", "MSET", "MSETNX", "MULTI", "OBJECT", "PERSIST",
    "PEXPIRE", "PEXPIREAT", "PEXPIRETIME", "PFADD", "PFCOUNT", "PFDEBUG", "PFMERGE", "PFSELFTEST", "PING", "PSETEX",
    "PSUBSCRIBE", "PSYNC", "PTTL", "PUBLISH", "PUBSUB", "PUNSUBSCRIBE", "QUIT", "RANDOMKEY", "READONLY", "READWRITE",
    "RENAME", "RENAMENX", "REPLCONF", "REPLICAOF", "RESET", "RESTORE", "RESTORE-ASKING", "ROLE", "RPOP", "RPOPLPUSH",
    "RPUSH", "RPUSHX", "SADD", "SAVE", "SCAN", "SCARD", "SCRIPT", "SDIFF", "SDIFFSTORE", "SELECT", "SENTINEL", "SET",
    "SETBIT", "SETEX", "SETNX", "SETRANGE", "SHUTDOWN", "SINTER", "SINTERCARD", "SINTERSTORE", "SISMEMBER", "SLAVEOF",
    "SLOWLOG", "SMEMBERS", "SMISMEMBER", "SMOVE", "SORT", "SORT_RO", "SPOP", "SPUBLISH", "SRANDMEMBER", "SREM",
    "SSCAN", "SSUBSCRIBE", "STRLEN", "SUBSCRIBE", "SUBSTR", "SUNION", "SUNIONSTORE", "SUNSUBSCRIBE", "SWAPDB", "SYNC",
    "TIME", "TOUCH", "TTL", "TYPE", "UNLINK", "UNSUBSCRIBE", "UNWATCH", "VADD", "VCARD", "VDIM", "VEMB", "VGETATTR",
    "VINFO", "VLINKS", "VRANDMEMBER", "VREM", "VSETATTR", "VSIM", "WAIT", "WAITAOF", "WATCH", "XACK", "XACKDEL",
    "XADD", "XAUTOCLAIM", "XCLAIM", "XDEL", "XDELEX", "XGROUP", "XINFO", "XLEN", "XPENDING", "XRANGE", "XREAD",
    "XREADGROUP", "XREVRANGE", "XSETID", "XTRIM", "ZADD", "ZCARD", "ZCOUNT", "ZDIFF", "ZDIFFSTORE", "ZINCRBY",
    "ZINTER", "ZINTERCARD", "ZINTERSTORE", "ZLEXCOUNT", "ZMPOP", "ZMSCORE", "ZPOPMAX", "ZPOPMIN", "ZRANDMEMBER",
    "ZRANGE", "ZRANGEBYLEX", "ZRANGEBYSCORE", "ZRANGESTORE", "ZRANK", "ZREM", "ZREMRANGEBYLEX", "ZREMRANGEBYRANK",
    "ZREMRANGEBYSCORE", "ZREVRANGE", "ZREVRANGEBYLEX", "ZREVRANGEBYSCORE", "ZREVRANK", "ZSCAN", "ZSCORE", "ZUNION",
    "ZUNIONSTORE",
];
/// What commands of modules begin with.
const MODULES: [&[u8]; 11] =
    [b"AI.", b"BF.", b"CF.", b"CMS.", b"FT.", b"GRAPH.", b"JSON.", b"TDIGEST.", b"TOPK.", b"TS.", b"VSS."];
/// Commands that say what they do in their second word.
const CONTAINERS: [&str; 16] = [
    "ACL", "CLIENT", "CLUSTER", "COMMAND", "CONFIG", "DEBUG", "FUNCTION", "LATENCY", "MEMORY", "MODULE", "OBJECT",
    "PUBSUB", "SCRIPT", "SLOWLOG", "XGROUP", "XINFO",
];

/// Longest name of a command.
pub(super) const MAX_NAME: usize = 32;

/// A word in capitals; empty if it is too long.
pub(super) fn capitals<'b>(name: &[u8], buffer: &'b mut [u8; MAX_NAME]) -> &'b [u8] {
    let Some(room) = buffer.get_mut(..name.len()) else { return b"" };
    room.copy_from_slice(name);
    room.make_ascii_uppercase();
    room
}

/// Words that the texts kept for good have at most.
const FEW_WORDS: usize = 5;

/// A command as it is spelt, and its texts without arguments, by the number of words: made once, since the same ones
/// come again and again.
struct Spelling {
    name: String,
    texts: [OnceLock<String>; FEW_WORDS],
}

/// All commands in capitals, then all in small letters.
static SPELLINGS: LazyLock<Vec<Spelling>> = LazyLock::new(|| {
    let capitals = COMMANDS.iter().map(|name| (*name).to_owned());
    let small = COMMANDS.iter().map(|name| name.to_ascii_lowercase());
    capitals.chain(small).map(|name| Spelling { name, texts: [const { OnceLock::new() }; FEW_WORDS] }).collect()
});

fn position(name: &[u8]) -> Option<usize> {
    let mut buffer = [0; MAX_NAME];
    let name = capitals(name, &mut buffer);
    COMMANDS.binary_search_by(|known| known.as_bytes().cmp(name)).ok()
}

/// The command as it is spelt, if Redis has such a command and it is all in capitals or all in small letters; and what
/// finds it again.
pub(super) fn spelt(name: &[u8]) -> Option<(&'static str, usize)> {
    let at = position(name)?;
    let (capitals, small) = (at, at + COMMANDS.len());
    let spelling = |at: usize| SPELLINGS.get(at).filter(|s| s.name.as_bytes() == name).map(|s| (s.name.as_str(), at));
    spelling(capitals).or_else(|| spelling(small))
}

/// What [`spelt`] found, with so many words of which the others are masked, if they are few.
pub(super) fn masked(at: usize, words: u64, make: impl FnOnce() -> String) -> Option<&'static str> {
    let text = SPELLINGS.get(at)?.texts.get(usize::try_from(words).ok()?.checked_sub(1)?)?;
    Some(text.get_or_init(make))
}

/// Whether Redis, or a module, has such a command.
pub(super) fn known(name: &[u8]) -> bool {
    let module = |prefix: &&[u8]| name.len() > prefix.len() && name[..prefix.len()].eq_ignore_ascii_case(prefix);
    position(name).is_some() || MODULES.iter().any(module)
}

/// Whether the command's second word belongs to its name.
pub(super) fn has_subcommands(name: &[u8]) -> bool {
    let mut buffer = [0; MAX_NAME];
    let name = capitals(name, &mut buffer);
    CONTAINERS.binary_search_by(|known| known.as_bytes().cmp(name)).is_ok()
}

/// Whether Celery writes tasks or results by a command of so many words.
pub(super) fn may_carry_celery(name: &[u8], count: u64) -> bool {
    let names: &[&[u8]] = match count {
        3 => &[b"LPUSH", b"RPUSH", b"PUBLISH", b"SET"],
        4 => &[b"SETEX", b"PSETEX"],
        _ => &[],
    };
    names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// Whether this may be the name of a command.
pub(super) fn plausible(name: &[u8]) -> bool {
    let fits = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    (1..=MAX_NAME).contains(&name.len()) && name[0].is_ascii_alphabetic() && name.iter().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_found_whatever_their_case() {
        assert!(COMMANDS.is_sorted() && CONTAINERS.is_sorted());
        assert!(known(b"get") && known(b"ZunionStore") && known(b"ft.search") && !known(b"message") && !known(b"FT."));
        assert!(has_subcommands(b"config") && !has_subcommands(b"get"));
        assert!(!known(&[b'a'; 100]));
        for name in ["GET", "get", "zunionstore"] {
            let (found, at) = spelt(name.as_bytes()).unwrap();
            assert_eq!((found, SPELLINGS[at].name.as_str()), (name, name));
        }
        assert_eq!((spelt(b"Get"), spelt(b"nosuch")), (None, None));
    }
}
