# Run by Dovecot when a message is put into Junk.
require ["vnd.dovecot.pipe", "copy", "imapsieve", "environment", "variables"];

if environment :matches "imap.user" "*" {
	set "user" "${1}";
}
pipe :copy "spamscore-learn" ["spam", "${user}"];
