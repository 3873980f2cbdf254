//! The commands of Redis, by which a connection is recognised, and spans are named: of others, no name is told.

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

/// What those modules know, in alphabetical order.
#[rustfmt::skip]
const OF_MODULES: &[&str] = &[
    "AI.CONFIG", "AI.DAGEXECUTE", "AI.DAGRUN", "AI.INFO", "AI.MODELDEL", "AI.MODELEXECUTE", "AI.MODELGET", "AI.MODELRUN",
    "AI.MODELSTORE", "AI.SCRIPTDEL", "AI.SCRIPTEXECUTE", "AI.SCRIPTGET", "AI.SCRIPTSTORE", "AI.TENSORGET",
    "AI.TENSORSET", "BF.ADD", "BF.CARD", "BF.EXISTS", "BF.INFO", "BF.INSERT", "BF.LOADCHUNK", "BF.MADD", "BF.MEXISTS",
    "BF.RESERVE", "BF.SCANDUMP", "CF.ADD", "CF.ADDNX", "CF.COUNT", "CF.DEL", "CF.EXISTS", "CF.INFO", "CF.INSERT",
    "CF.INSERTNX", "CF.LOADCHUNK", "CF.MEXISTS", "CF.RESERVE", "CF.SCANDUMP", "CMS.INCRBY", "CMS.INFO",
    "CMS.INITBYDIM", "CMS.INITBYPROB", "CMS.MERGE", "CMS.QUERY", "FT.AGGREGATE", "FT.ALIASADD", "FT.ALIASDEL",
    "FT.ALIASUPDATE", "FT.ALTER", "FT.CONFIG", "FT.CREATE", "FT.CURSOR", "FT.DICTADD", "FT.DICTDEL", "FT.DICTDUMP",
    "FT.DROPINDEX", "FT.EXPLAIN", "FT.EXPLAINCLI", "FT.HYBRID", "FT.INFO", "FT.PROFILE", "FT.SEARCH", "FT.SPELLCHECK",
    "FT.SUGADD", "FT.SUGDEL", "FT.SUGGET", "FT.SUGLEN", "FT.SYNDUMP", "FT.SYNUPDATE", "FT.TAGVALS", "FT._LIST",
    "GRAPH.CONFIG", "GRAPH.DELETE", "GRAPH.EXPLAIN", "GRAPH.LIST", "GRAPH.PROFILE", "GRAPH.QUERY", "GRAPH.RO_QUERY",
    "GRAPH.SLOWLOG", "JSON.ARRAPPEND", "JSON.ARRINDEX", "JSON.ARRINSERT", "JSON.ARRLEN", "JSON.ARRPOP",
    "JSON.ARRTRIM", "JSON.CLEAR", "JSON.DEBUG", "JSON.DEL", "JSON.FORGET", "JSON.GET", "JSON.MERGE", "JSON.MGET",
    "JSON.MSET", "JSON.NUMINCRBY", "JSON.NUMMULTBY", "JSON.OBJKEYS", "JSON.OBJLEN", "JSON.RESP", "JSON.SET",
    "JSON.STRAPPEND", "JSON.STRLEN", "JSON.TOGGLE", "JSON.TYPE", "TDIGEST.ADD", "TDIGEST.BYRANK",
    "TDIGEST.BYREVRANK", "TDIGEST.CDF", "TDIGEST.CREATE", "TDIGEST.INFO", "TDIGEST.MAX", "TDIGEST.MERGE",
    "TDIGEST.MIN", "TDIGEST.QUANTILE", "TDIGEST.RANK", "TDIGEST.RESET", "TDIGEST.REVRANK", "TDIGEST.TRIMMED_MEAN",
    "TOPK.ADD", "TOPK.COUNT", "TOPK.INCRBY", "TOPK.INFO", "TOPK.LIST", "TOPK.QUERY", "TOPK.RESERVE", "TS.ADD",
    "TS.ALTER", "TS.CREATE", "TS.CREATERULE", "TS.DECRBY", "TS.DEL", "TS.DELETERULE", "TS.GET", "TS.INCRBY",
    "TS.INFO", "TS.MADD", "TS.MGET", "TS.MRANGE", "TS.MREVRANGE", "TS.QUERYINDEX", "TS.RANGE", "TS.REVRANGE",
];
/// Second words of [`CONTAINERS`], in alphabetical order.
#[rustfmt::skip]
const SECOND: &[&str] = &[
    "ADDSLOTS", "ADDSLOTSRANGE", "BUMPEPOCH", "CACHING", "CAPA", "CAT", "CHANNELS", "CONSUMERS", "COUNT",
    "COUNT-FAILURE-REPORTS", "COUNTKEYSINSLOT", "CREATE", "CREATECONSUMER", "DEBUG", "DELCONSUMER", "DELETE",
    "DELSLOTS", "DELSLOTSRANGE", "DELUSER", "DESTROY", "DOCS", "DOCTOR", "DRYRUN", "DUMP", "ENCODING", "EXISTS",
    "FAILOVER", "FLUSH", "FLUSHALL", "FLUSHSLOTS", "FORGET", "FREQ", "GENPASS", "GET", "GETKEYS", "GETKEYSANDFLAGS",
    "GETKEYSINSLOT", "GETNAME", "GETREDIR", "GETUSER", "GRAPH", "GROUPS", "HELP", "HISTOGRAM", "HISTORY", "ID",
    "IDLETIME", "IMPORT-SOURCE", "INFO", "JMAP", "KEYSLOT", "KILL", "LATEST", "LEN", "LINKS", "LIST", "LOAD", "LOADEX", "LOG",
    "MAINT_NOTIFICATIONS", "MALLOC-STATS", "MEET", "MIGRATION", "MYID", "MYSHARDID", "NO-EVICT", "NO-TOUCH", "NODES", "NUMPAT", "NUMSUB",
    "OBJECT", "PAUSE", "PURGE", "REFCOUNT", "RELOAD", "REPLICAS", "REPLICATE", "REPLY", "RESET", "RESETSTAT",
    "RESTORE", "REWRITE", "SAVE", "SAVECONFIG", "SEGFAULT", "SET", "SET-CONFIG-EPOCH", "SETID", "SETINFO", "SETNAME",
    "SETSLOT", "SETUSER", "SHARDCHANNELS", "SHARDNUMSUB", "SHARDS", "SHOW", "SLAVES", "SLEEP", "SLOT-STATS", "SLOTS",
    "STATS", "STREAM", "TRACKING", "TRACKINGINFO", "UNBLOCK", "UNLOAD", "UNPAUSE", "USAGE", "USERS", "WHOAMI",
];
/// First words of errors that Redis, its cluster, its sentinels and its modules send, in alphabetical order.
#[rustfmt::skip]
const ERRORS: &[&str] = &[
    "ASK", "BUSY", "BUSYGROUP", "BUSYKEY", "CLUSTERDOWN", "CROSSSLOT", "DENIED", "ERR", "EXECABORT", "INPROG",
    "INVALIDOBJ", "IOERR", "LOADING", "MASTERDOWN", "MISCONF", "MOVED", "NOADDR", "NOAUTH", "NOGOODSLAVE", "NOGROUP",
    "NOMASTERLINK", "NOPERM", "NOPROTO", "NOQUORUM", "NOREPLICAS", "NOSCRIPT", "NOTBUSY", "NOTREADY", "OOM",
    "READONLY", "STALE", "TRYAGAIN", "UNBLOCKED", "UNKILLABLE", "UNSTABLE", "WRONGPASS", "WRONGTYPE",
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

/// Where the commands begin that begin with each letter, and where the last end.
const BY_LETTER: [usize; 27] = {
    let (mut starts, mut at) = ([COMMANDS.len(); 27], COMMANDS.len());
    while at > 0 {
        at -= 1;
        starts[(COMMANDS[at].as_bytes()[0] - b'A') as usize] = at;
    }
    let mut letter = 26;
    while letter > 0 {
        letter -= 1;
        // Letters that begin no command.
        if starts[letter] > starts[letter + 1] {
            starts[letter] = starts[letter + 1];
        }
    }
    starts
};

/// Where a command stands in the list. Every command is looked up: a look at those of the same letter and length is
/// quicker than a search that compares whole names.
fn position(name: &[u8]) -> Option<usize> {
    let letter = usize::from(name.first()?.to_ascii_uppercase().checked_sub(b'A')?);
    let (from, to) = (*BY_LETTER.get(letter)?, *BY_LETTER.get(letter + 1)?);
    let found = COMMANDS[from..to].iter().position(|known| known.as_bytes().eq_ignore_ascii_case(name))?;
    Some(from + found)
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

/// The command's name as spans tell it: as it is spelt in capitals or in small letters, else in capitals. `None` if nobody
/// has such a command: the word may be anything.
pub(super) fn told(name: &[u8]) -> Option<&'static str> {
    spelt(name).map(|(name, _)| name).or_else(|| Some(COMMANDS[position(name)?])).or_else(|| listed(OF_MODULES, name))
}

/// The second word of a command that says there what it does.
pub(super) fn second(name: &[u8], word: &[u8]) -> Option<&'static str> {
    if has_subcommands(name) { listed(SECOND, word) } else { None }
}

/// The word by which an error begins, if it is one of Redis': scripts may say anything.
pub(super) fn error(word: &[u8]) -> Option<&'static str> {
    listed(ERRORS, word)
}

fn listed(words: &'static [&'static str], word: &[u8]) -> Option<&'static str> {
    let mut buffer = [0; MAX_NAME];
    let word = capitals(word, &mut buffer);
    words.binary_search_by(|known| known.as_bytes().cmp(word)).ok().map(|at| words[at])
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
        assert!([COMMANDS, &CONTAINERS, OF_MODULES, SECOND, ERRORS].iter().all(|words| words.is_sorted()));
        assert_eq!((told(b"Get"), told(b"ft.search"), told(b"ft.hunter2")), (Some("GET"), Some("FT.SEARCH"), None));
        assert_eq!((second(b"config", b"get"), second(b"config", b"hunter2")), (Some("GET"), None));
        assert!(known(b"get") && known(b"ZunionStore") && known(b"ft.search") && !known(b"message") && !known(b"FT."));
        assert!(has_subcommands(b"config") && !has_subcommands(b"get"));
        assert!(!known(&[b'a'; 100]) && !known(b"") && !known(b"[") && !known(b"{X") && !known(b"1"));
        for (at, name) in COMMANDS.iter().enumerate() {
            assert_eq!((position(name.as_bytes()), position(name.to_lowercase().as_bytes())), (Some(at), Some(at)));
        }
        for name in ["GET", "get", "zunionstore"] {
            let (found, at) = spelt(name.as_bytes()).unwrap();
            assert_eq!((found, SPELLINGS[at].name.as_str()), (name, name));
        }
        assert_eq!((spelt(b"Get"), spelt(b"nosuch")), (None, None));
    }
}
