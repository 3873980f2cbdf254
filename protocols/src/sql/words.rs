//! Keywords, by what they mean for a summary.

/// Statements of which nothing but the first word matters, or may be told.
pub(super) const PLAIN: [&[u8]; 46] = [
    b"ABORT",
    b"BEGIN",
    b"BINLOG",
    b"CACHE",
    b"CHANGE",
    b"CHECKPOINT",
    b"CHECKSUM",
    b"CLOSE",
    b"COMMENT",
    b"COMMIT",
    b"DEALLOCATE",
    b"DISCARD",
    b"DO",
    b"END",
    b"FETCH",
    b"FLUSH",
    b"GET",
    b"GRANT",
    b"HELP",
    b"IMPORT",
    b"INSTALL",
    b"KILL",
    b"LISTEN",
    b"LOCK",
    b"MOVE",
    b"NOTIFY",
    b"PURGE",
    b"REASSIGN",
    b"RELEASE",
    b"RENAME",
    b"RESET",
    b"RESIGNAL",
    b"REVOKE",
    b"ROLLBACK",
    b"SAVEPOINT",
    b"SECURITY",
    b"SET",
    b"SHOW",
    b"SHUTDOWN",
    b"SIGNAL",
    b"START",
    b"STOP",
    b"UNINSTALL",
    b"UNLISTEN",
    b"UNLOCK",
    b"XA",
];
/// Statements whose next name is their target.
pub(super) const NAMED: [&[u8]; 16] = [
    b"ANALYZE",
    b"CHECK",
    b"CLUSTER",
    b"COPY",
    b"DESC",
    b"DESCRIBE",
    b"EXEC",
    b"EXECUTE",
    b"HANDLER",
    b"OPTIMIZE",
    b"REFRESH",
    b"REINDEX",
    b"REPAIR",
    b"TRUNCATE",
    b"USE",
    b"VACUUM",
];
/// What can be created, altered and dropped, if its name may be told; of users, it may not.
pub(super) const OBJECTS: [&[u8]; 14] = [
    b"TABLE",
    b"INDEX",
    b"VIEW",
    b"SEQUENCE",
    b"DATABASE",
    b"SCHEMA",
    b"FUNCTION",
    b"PROCEDURE",
    b"TRIGGER",
    b"TYPE",
    b"EXTENSION",
    b"DOMAIN",
    b"EVENT",
    b"TABLESPACE",
];
/// What can be, and whose name may not be told.
pub(super) const UNNAMED: [&[u8]; 9] =
    [b"USER", b"ROLE", b"GROUP", b"SERVER", b"SUBSCRIPTION", b"PUBLICATION", b"POLICY", b"SYSTEM", b"DEFAULT"];
/// Words between `CREATE` and what is created.
pub(super) const MODIFIERS: [&[u8]; 16] = [
    b"OR",
    b"REPLACE",
    b"TEMP",
    b"TEMPORARY",
    b"UNIQUE",
    b"GLOBAL",
    b"LOCAL",
    b"UNLOGGED",
    b"RECURSIVE",
    b"FULLTEXT",
    b"SPATIAL",
    b"MATERIALIZED",
    b"FOREIGN",
    b"ONLINE",
    b"IGNORE",
    b"AGGREGATE",
];
/// Words before a target's name.
pub(super) const BEFORE_NAME: [&[u8]; 19] = [
    b"INTO",
    b"ONLY",
    b"LATERAL",
    b"TABLE",
    b"TABLES",
    b"IF",
    b"NOT",
    b"EXISTS",
    b"CONCURRENTLY",
    b"LOW_PRIORITY",
    b"DELAYED",
    b"HIGH_PRIORITY",
    b"IGNORE",
    b"VERBOSE",
    b"FULL",
    b"FREEZE",
    b"MATERIALIZED",
    b"VIEW",
    b"QUICK",
];
/// Words that no target is called, and that end a list of targets.
pub(super) const CLAUSES: [&[u8]; 20] = [
    b"WHERE",
    b"GROUP",
    b"ORDER",
    b"SET",
    b"LIMIT",
    b"UNION",
    b"INTERSECT",
    b"EXCEPT",
    b"HAVING",
    b"WINDOW",
    b"FOR",
    b"RETURNING",
    b"VALUES",
    b"DEFAULT",
    b"OFFSET",
    b"FETCH",
    b"WHEN",
    b"ON",
    b"USING",
    b"STDIN",
];

/// Whether a server may say that it ran this: the first words of a command's completion.
pub(crate) fn known_tag(word: &[u8], first: bool) -> bool {
    let among = |words: &[&[u8]]| words.contains(&word);
    if first {
        return among(&PLAIN) || among(&NAMED) || among(&STATEMENTS);
    }
    among(&OBJECTS) || among(&UNNAMED) || among(&MODIFIERS) || among(&TAGGED)
}

/// Statements that are neither [`PLAIN`] nor [`NAMED`].
const STATEMENTS: [&[u8]; 14] = [
    b"SELECT", b"INSERT", b"UPDATE", b"DELETE", b"MERGE", b"VALUES", b"TABLE", b"CREATE", b"ALTER", b"DROP", b"CALL",
    b"DECLARE", b"PREPARE", b"EXPLAIN",
];
/// What else stands in completions.
const TAGGED: [&[u8]; 16] = [
    b"AS",
    b"CURSOR",
    b"TRANSACTION",
    b"PREPARED",
    b"ALL",
    b"OWNED",
    b"PLANS",
    b"SEQUENCES",
    b"CONSTRAINTS",
    b"ACCESS",
    b"METHOD",
    b"CAST",
    b"RULE",
    b"MAPPING",
    b"PRIVILEGES",
    b"CONCURRENTLY",
];
