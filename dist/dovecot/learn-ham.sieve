# Run by Dovecot when a message is taken out of Junk.
require ["vnd.dovecot.pipe", "copy", "imapsieve", "environment", "variables"];

# thrown away is not forgiven
if environment :matches "imap.mailbox" ["Trash", "Trash/*", "Deleted*"] {
	stop;
}
if environment :matches "imap.user" "*" {
	set "user" "${1}";
}
pipe :copy "spamscore-learn" ["ham", "${user}"];
