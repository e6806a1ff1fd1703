#include "scoring/message/received_forms.h"

/* Pieces of the rows below */
#define I "(" RCVD_IP ")"
#define W "(\\S+)"		      /* a word that is kept */
#define w "\\S+"		      /* a word that is not */
#define HELO "\\((?:HELO|EHLO) "
#define SENDER "(?: \\(envelope-sender <\\S+>\\))?"

#define ROW(group, need, text, map, flags) \
	{ group, need, { text, 0, NULL }, map, flags }
#define ANY(text, map, flags) ROW(RCVD_ANY, NULL, text, map, flags)
#define ANY_IF(need, text, map, flags) ROW(RCVD_ANY, need, text, map, flags)
/* Rows with HELO or EHLO */
#define ANY_HELO(text, map, flags) ANY_IF("LO ", text, map, flags)

/* What qmail and its patches write, HELO and ident present or not; "id"
 * behind the protocol would be sendmail. */
#define QMAIL_TAIL SENDER " by " W "(?: \\(.+\\))* with (?:.* )?" \
	"(?:SMTP|QMQP)(?! id )"

struct rcvd_form rcvd_forms[] = {
	/* web mail */
	ANY_IF("Mail authenticated user ", I "\\b(?![.-]).{10,80}by " W
	    " with HTTP", "ib", 0),
	ANY_IF("(WebMailUI)", I " by " W " \\(" RCVD_IP
	    "\\) with HTTP \\(WebMailUI\\)", "ib", 0),

	/* Microsoft */
	ROW(RCVD_SMTPSVC, NULL, "^(\\S*) \\(\\[" I "\\][^)]{0,40}\\) by " W
	    " with Microsoft SMTPSVC", "hib", 0),
	ROW(RCVD_SMTPSVC, NULL, "^mail pickup service by " w
	    " with Microsoft SMTPSVC$", "", RCVD_IGNORE),
	ROW(RCVD_MAPI, NULL, "^" W " \\(\\[?" I "(?:%[A-Z0-9._~-]*)?\\]?\\) by " W
	    " ", "hib", RCVD_NO_ID),

	ROW(RCVD_XMAIL, NULL, "^" W " \\((\\[?" RCVD_IP "\\]?):\\d+\\) by " W
	    "(?: \\(" w "\\))? with \\[XMail(?:.* id <" W ">)?"
	    "(?:.* from <" W ">)?", "hibde", 0),

	ROW(RCVD_ECELERITY, NULL, "^\\(\\[" I ":\\d+\\] helo=" W "\\) by " W " ",
	    "ihb", 0),
	ROW(RCVD_ECELERITY, NULL, "^" w " \\(\\[" I ":\\d+\\]\\) by " W " ",
	    "ib", 0),

	/* Exim's field is configurable, and configured */
	ROW(RCVD_EXIM, NULL, "\\bwith local(?:-" w ")? ", "", RCVD_IGNORE),
	ROW(RCVD_EXIM, NULL, "^\\[" I "\\] \\((.*?)\\) by " W " ", "isb", 0),
	ROW(RCVD_EXIM, NULL, "^" W " \\(\\[" I "\\](.*?)\\) by " W " ", "Bisb", 0),
	ROW(RCVD_EXIM, NULL, "^" W " \\[" I "\\](?::\\d+)? by " W " ", "Bib", 0),

	ROW(RCVD_POSTFIX, NULL, "^" W " \\(" W " ?\\[" I "\\]\\) by " W " ", "hrib",
	    RCVD_DNS),

	ROW(RCVD_SCALIX, NULL, "^" W " \\( ?" I "\\) by " W, "hib", 0),
	ROW(RCVD_DOMINO, NULL, "^" W " \\(\\[" I "\\]\\) by " W " \\(Lotus",
	    "hib", 0),

	ANY_IF("with HTTP", "^" I " \\(\\[" RCVD_IP "\\]\\) by " W
	    "(?=.*\\bwith HTTP\\b)", "ib", 0),

	/* sendmail */
	ANY("^" W " \\(" W " \\[" I "\\].*\\) by " W " \\(", "hRib",
	    RCVD_DNS | RCVD_NOT_QMAIL),

	ANY("^" W " \\(" W " \\[" I "\\]\\) by " W " with " w " \\(", "hrib",
	    RCVD_DNS),
	ANY_IF(" helo=", "^" W " \\(\\[" I "\\] helo=" W "\\) by " W " with ",
	    "rihb", 0),
	ANY_IF("(<unknown", "^" W " \\(<unknown\\S*>\\[" I "\\]\\) by " W " ",
	    "hib", 0),
	ANY("^" W " \\((\\S+\\.\\S+)\\[" I "\\]\\) by " W " ", "hrib", RCVD_DNS),
	ANY_IF("@[", "^" W " \\((\\S*)@\\[" I "\\].*\\) by " W " \\(", "hnib",
	    RCVD_DNS),
	ANY_IF(".hotmail.msn.com ", "^" I " .*?by (\\S+\\.hotmail\\.msn\\.com) ",
	    "ib", 0),
	ANY_IF(".hotmail.msn.com ", "by (\\S+\\.hotmail\\.msn\\.com) ", "b", 0),

	ANY_IF("(qpsmtpd/", "^" W " " HELO "(\\S*)\\) \\(" I "\\) by " W
	    " \\(qpsmtpd/" w "\\) with (?:ESMTP|SMTP)", "rhib", 0),
	ANY_IF("(LHLO ", "^" W " \\(LHLO (\\S*)\\) \\(" I "\\) by " W " with LMTP",
	    "rhib", 0),
	ANY_HELO("^" W " " HELO "(\\S*)\\) \\[" I "\\] by " W
	    " \\([^)]+\\) with (?:ESMTP|SMTP)", "rhib", 0),
	ANY_IF(" via smtpd ", "^" W " \\(\\[" I "\\]\\) by " W
	    " via smtpd \\(for " w "\\) with SMTP\\(", "hib", 0),

	/* qmail: no HELO means that it was the name */
	ANY_HELO("^" W " " HELO "([^ ()]*)\\) \\((\\S*)@\\[?" I "\\]?\\)"
	    QMAIL_TAIL, "rhnib", RCVD_DNS | RCVD_UNLESS_UNKNOWN),
	ANY_HELO("^" W " " HELO "([^ ()]*)\\) \\(\\[?" I "\\]?\\)" QMAIL_TAIL,
	    "rhib", RCVD_DNS | RCVD_UNLESS_UNKNOWN),
	ANY("^" W " \\((\\S*)@\\[?" I "\\]?\\)" QMAIL_TAIL, "Bnib",
	    RCVD_DNS | RCVD_UNLESS_UNKNOWN),
	ANY("^" W " \\(\\[?" I "\\]?\\)" QMAIL_TAIL, "Bib",
	    RCVD_DNS | RCVD_UNLESS_UNKNOWN),

	ANY_IF(" via HTTP", "^\\[" I "\\] by " W " via HTTP$", "ib", 0),
	ANY_IF(" ( [", "^" w " \\( \\[" I "\\]\\).*? by " W " ", "ib", 0),
	ANY("^\\(" W " \\[" I "\\]\\) by " W " ", "hib", 0),
	ANY("^\\[" I "\\] by " W " ", "ib", 0),
	ANY("^\\(\\[?" I "\\]?\\) by " W " ", "ib", 0),
	ANY("^" W " \\[" I "\\] by " W " \\[" RCVD_IP "\\] with ", "hib", RCVD_DNS),
	ANY_IF(" [(", "^" W " \\[\\(" I "\\)\\] by " W " \\(" RCVD_IP "\\) ",
	    "hib", 0),
	ANY("^" W " \\(\\[" I "\\]\\) by " W " \\(", "hib", RCVD_DNS),
	ANY("^" W " \\(" W " \\[" I "\\]\\).*? by " W "\\b", "hrib",
	    RCVD_DNS | RCVD_SOFTDNS),
	ANY("^" W " \\(\\[" I "(?:[.:]\\d+)?\\]\\).*? by " W " ", "hib", RCVD_DNS),

	/* fetchmail, getmail: not a hand-over between mail servers */
	ANY_IF("with ", "with (?:POP3|IMAP)", "", RCVD_FETCH),

	ANY_HELO("^" W " " HELO "([^)]*)\\) \\((\\S*@)?\\[?" I "\\]?\\).* by "
	    W " ", "rhNib", RCVD_DNS),
	ANY("^" W " \\((\\S*@)?\\[?" I "\\]?\\).* by " W " ", "BNib", RCVD_DNS),
	ANY_IF(" via smap ", "^" W "\\(" I "\\) by " W " via smap ", "rib",
	    RCVD_DNS),
	ANY_IF(" via smap ", "^" W "\\(" I ", (?:HELO|EHLO) (\\S*)\\) by " W
	    " via smap ", "rihb", RCVD_DNS),
	ANY("^" I " by " W " \\((?:SMTPL|InterScan)\\b", "ib", 0),
	ANY_IF(" with BSMTP", "^" w " by " w " with BSMTP", "", RCVD_IGNORE),
	ANY_HELO("^" W " " HELO "(\\S*)\\) \\((?:(\\S+)@)?" I ".*?\\) by " W
	    " with ", "rhnib", RCVD_DNS),
	ANY_HELO("^\\[" I "\\] \\((?:account " w " )?(?:HELO|EHLO) (\\S*)\\) by "
	    W " \\(", "ihb", 0),
	ANY_IF(" (CommuniGate Pro", "^" W " \\(\\[" I "\\] verified\\) by " W
	    " \\(", "Bib", RCVD_DNS),
	ANY("^([^\\d]\\S+) \\(" I "\\) by " W " ", "hib", 0),
	ANY_IF("(Content Technologies ", "^" w " \\(" w "\\) by " w
	    " \\(Content Technologies ", "", RCVD_IGNORE),
	ANY("^" W " \\(\\[" I "\\] \\[" w "\\]\\) by " W " with ", "hib", 0),
	ANY("^" I " by " W " with ", "ib", 0),
	ANY("^" W " \\(" W "\\[" I "\\]\\) by " W " ", "hrib", RCVD_DNS),
	ANY_HELO("^\\[" I "\\]" w " " HELO "(\\S*)\\) by " W " ", "ihb", 0),
	ANY_HELO("^" I " " HELO "(\\S*)\\) by " W " ", "ihb", 0),
	ANY("^" W " \\[" I "\\] by " W " ", "hib", 0),
	ANY("^" W "\\(" I "\\) by " W " ", "rib", 0),
	ANY_IF("(unverified [", "^" W " \\(unverified \\[" I "\\]\\) by " W " ",
	    "hib", 0),
	ANY("^" I " \\([A-Za-z][^)]+\\) by " W " with ", "ib", 0),
	ANY("^\\[" I "\\] \\(([^)]+)\\) by " W " ", "isb", 0),
	ANY("^" W " \\((?:" w "@)?" I "\\) by " W " with ", "rib", 0),
	ANY_IF(" via ", "^" W "\\(" I "\\)(?:, claiming to be \"(\\S+)\")? via " w
	    " by " W ",", "rihb", RCVD_UPPER_UNKNOWN),
	ANY_IF(" with login)", "^" W " \\(" w "@" I " with login\\) by "
	    "(\\S+\\.yahoo\\.com) with SMTP", "hib", 0),

	/* hand-overs inside one host, by program or list manager */
	ANY("^" w " \\([^\\s@]+@" RCVD_LOCALHOST "\\) by " w " \\(", "",
	    RCVD_IGNORE),
	ANY_IF(" with local-", "^" w " " w " by " w " with local-e?smtp ", "",
	    RCVD_IGNORE),
	ANY_IF("(AVG SMTP ", "^127\\.0\\.0\\.1 \\(AVG SMTP " w " \\[" w "\\]\\)", "",
	    RCVD_IGNORE),
	ANY("^\\S+@" w " by " w " ", "", RCVD_IGNORE),
	ANY("^Unknown/Local \\(", "", RCVD_IGNORE),
	ANY("^" RCVD_LOCALHOST " \\((?:\\S+@)?" RCVD_LOCALHOST "[)\\[]", "",
	    RCVD_IGNORE),
	ANY("^" w " \\((?:\\S+@)?" RCVD_LOCALHOST "\\) ", "", RCVD_IGNORE),
	ANY("^" w " \\(\\S+@" w " \\[" RCVD_LOCALHOST "\\]\\) ", "", RCVD_IGNORE),
	ANY_IF("(AUTH: ", "^\\(AUTH: " w "\\) by " w " with ", "", RCVD_IGNORE),
	ANY("^localhost \\(localhost \\[\\[UNIX: localhost\\]\\]\\) by ", "",
	    RCVD_IGNORE),
	ANY_IF("(peer crosscheck: ", "^\\S+\\.amazon\\.com by \\S+\\.amazon\\.com "
	    "with ESMTP \\(peer crosscheck: ", "", RCVD_IGNORE),
	ANY_IF("Novell_GroupWise", "^[^.]+ by " w " with Novell_GroupWise", "",
	    RCVD_IGNORE),
	ANY("^no\\.name\\.available by " w " via smtpd \\(for ", "", RCVD_IGNORE),
	ANY_IF(" with qmail-scanner", "^" w " by " w
	    " \\(.{0,100}\\) with qmail-scanner", "",
	    RCVD_IGNORE | RCVD_SENDER_NEXT),
	ANY("^" w " by " w " with local", "", RCVD_IGNORE),
	ANY_IF("([unix socket])", "^" w " \\(\\[unix socket\\]\\) by " w
	    " \\(Cyrus v\\d*?\\.\\d*?\\.\\d*?\\) with LMTPA", "", RCVD_IGNORE),

	/* over TCP, but without an address */
	ANY("^" w " by " w " (?:with|via|for|\\()", "", RCVD_IGNORE),
	ANY("^" w " (?:(?:with|via|for) " w "|\\(unverified\\)) by\\b", "",
	    RCVD_IGNORE),
	ANY_IF("(SG) with ", "^" w " \\(unknown\\) by " w " \\(SG\\) with \\b", "",
	    RCVD_IGNORE),
	ANY_IF("(OpenSMTPD)", "^" w " \\(" w " \\[local\\]\\) by " w
	    " \\(OpenSMTPD\\) with \\b", "", RCVD_IGNORE),
	ANY_IF("(LSMTP for", "\\(LSMTP for", "", RCVD_IGNORE),
	ANY_IF("with MailEnable ", "^\\(\\[" RCVD_LOCALHOST
	    "\\]\\) with MailEnable ", "", RCVD_IGNORE),
	ANY_IF("with Thrift id ", "^facebook\\.com \\([^)]+\\) by facebook\\.com "
	    "with Thrift id " w "$", "", RCVD_IGNORE),
	ANY_IF("gmailapi.google.com", "^" w " named " w
	    " by gmailapi\\.google\\.com with HTTPREST$", "", RCVD_IGNORE),
	ANY("^" w " id " w "$", "", RCVD_IGNORE),
	ANY_IF("(Jetsend", "^\\[<.*? \\(Jetsend", "", RCVD_IGNORE),
};

const size_t rcvd_form_count = sizeof(rcvd_forms) / sizeof(rcvd_forms[0]);
