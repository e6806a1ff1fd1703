#!/usr/bin/perl
# What the installed SpamAssassin knows as configuration: "word NAME TYPE" and,
# of the plugins that Debian's .pre files load, "eval NAME TYPE". Asked of
# its own tables, so that nothing here can be forgotten.
use strict;
use warnings;
use Mail::SpamAssassin;

our %types = map { no strict 'refs';
                   (${"Mail::SpamAssassin::Conf::CONF_TYPE_$_"} => lc $_) }
    qw(STRING BOOL NUMERIC HASH_KEY_VALUE ADDRLIST TEMPLATE NOARGS STRINGLIST
       IPADDRLIST DURATION);

sub conf {
    my $lines = join('', map { "loadplugin Mail::SpamAssassin::Plugin::$_\n" } @_);
    local $SIG{__WARN__} = sub { };    # of optional Perl modules
    my $sa = Mail::SpamAssassin->new({
        config_text => "util_rb_tld com\n$lines", local_tests_only => 1,
        dont_copy_prefs => 1, userprefs_filename => '/dev/null' });
    $sa->init(0);
    return $sa->{conf};
}

my ($dir) = $INC{'Mail/SpamAssassin.pm'} =~ /(.*)\.pm$/;
my @all = grep { $_ ne 'Test' } map { m{([^/]+)\.pm$} } glob("$dir/Plugin/*.pm");
my @loaded;
for my $pre (glob('/etc/spamassassin/*.pre')) {
    open(my $in, '<', $pre) or die "$pre: $!\n";
    push @loaded, map { /^\s*loadplugin\s+\S+::(\w+)/ ? $1 : () } <$in>;
}
for my $c (@{conf(@all)->{registered_commands}}) {
    my $type = defined $c->{type} ? $types{$c->{type}} // 'other' : 'other';
    print "word $_ $type\n"
        for $c->{command} // $c->{setting}, @{$c->{aliases} // []};
}
my $loaded = conf(@loaded);
my $names = \%Mail::SpamAssassin::Conf::TYPE_AS_STRING;
print "eval $_ ", $names->{$loaded->{eval_plugins_types}{$_} // ''} // 'any', "\n"
    for sort keys %{$loaded->{eval_plugins}};
