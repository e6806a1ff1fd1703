#!/usr/bin/perl
# Compares the views of messages with those that Mail::SpamAssassin makes,
# byte for byte: compare_spamassassin.pl [--tap PERCENT] [--show N]
# [--view NAME,...] DUMP_VIEWS FILE...   ("-": names on stdin)
# With --corpora DIR --unpack DIR every N-th (--every) message of the archives
# of mail there is compared; with --tap a view passes when that many percent
# of messages agree.
use strict;
use warnings;
use File::Find;
use Getopt::Long;
use IPC::Open2;

my ($tap, $show, $views, $corpora, $unpack, $every) = (undef, 3, '', undef, undef, 1);
GetOptions('tap=f' => \$tap, 'show=i' => \$show, 'view=s' => \$views,
  'corpora=s' => \$corpora, 'unpack=s' => \$unpack, 'every=i' => \$every)
  or die "usage: $0 [--tap PERCENT] [--show N] [--view NAME] DUMP FILE...\n";
my ($dump, @files) = @ARGV;
if (!eval { require Mail::SpamAssassin; require Mail::SpamAssassin::PerMsgStatus; 1 }) {
  print "1..0 # SKIP no Mail::SpamAssassin here\n";
  exit 0;
}
if (@files == 1 && $files[0] eq '-') {
  chomp(@files = <STDIN>);
}
if (defined $corpora) {
  for my $name (qw(lore spamassassin phish foff)) {
    my ($archive, $dir) = ("$corpora/$name.tar.xz", "$unpack/$name");
    next if !-r $archive;
    if (!-d $dir) {
      mkdir $dir or die "$dir: $!";
      system('tar', '-xJf', $archive, '-C', $dir) == 0 or die "tar $archive";
    }
    my @all;
    find({ wanted => sub { push @all, $_ if -f && !m{/ORDER$} }, no_chdir => 1 }, $dir);
    @all = sort @all;
    push @files, map { $all[$_ * $every] } 0 .. $#all / $every;
  }
}
if (!@files) {
  print "1..0 # SKIP no mail to compare with\n";
  exit 0;
}

my $sa = Mail::SpamAssassin->new({
  dont_copy_prefs => 1, local_tests_only => 1,
  userprefs_filename => '/dev/null', userstate_dir => '/nonexistent',
  rules_filename => '/usr/share/spamassassin',
  site_rules_filename => '/dev/null',
});
$sa->init(1);

sub esc {
  my $s = shift;
  utf8::encode($s) if utf8::is_utf8($s);
  $s =~ s/([^\x20-\x5b\x5d-\x7e])/sprintf("\\x%02x", ord($1))/ge;
  return $s;
}

sub theirs {
  my $file = shift;
  open(my $fh, '<:raw', $file) or die "$file: $!";
  my $text = do { local $/; <$fh> };
  my $msg = $sa->parse($text, 1);
  my $pms = Mail::SpamAssassin::PerMsgStatus->new($sa, $msg);
  $pms->extract_message_metadata();
  my %v;
  $v{relays} = [map { scalar $pms->get("X-Spam-Relays-$_") } qw(Trusted Untrusted Internal External)];
  $v{unparseable} = [$pms->{num_relays_unparseable}];
  my %seen;
  my @fields;
  for my $k (@{$msg->{header_order}}) {
    my $n = $seen{lc $k}++;
    push @fields, $msg->{headers}{lc $k}[$n];
  }
  $v{fields} = \@fields;
  my @addr;
  for my $h (qw(From To Cc Reply-To)) {
    for my $raw ($msg->raw_header($h)) {
      my @l = Mail::SpamAssassin::Util::parse_header_addresses($raw);
      push @addr, map { $_->{address} } grep { defined $_->{address} } @l;
      for my $a (grep { defined $_->{phrase} } @l) {
        my $d = Mail::SpamAssassin::Message::Node::_decode_header($a->{phrase}, "x");
        if ($d =~ /\S/) {
          $d =~ s/\s+/ /gs; $d =~ s/^\s+//; $d =~ s/\s+$//; $d =~ s/^'(.*?)'$/$1/;
        }
        push @addr, $d;
      }
    }
  }
  $v{addresses} = \@addr;
  my @parts = $msg->find_parts(qr/^/);
  $v{parts} = [map { $_->{type} . ' leaf=' . ($_->is_leaf() ? 1 : 0) . ' name= ' . ($_->is_leaf() ? $_->{name} // '' : '') } @parts];
  my @mh;
  for my $p (@parts[1 .. $#parts]) {
    my %n;
    push @mh, $p->{headers}{lc $_}[$n{lc $_}++] for @{$p->{header_order}};
  }
  $v{mimeheaders} = \@mh;
  $v{body} = [@{$pms->get_decoded_stripped_body_text_array()}];
  $v{visible} = [@{$msg->get_visible_rendered_body_text_array()}];
  $v{invisible} = [@{$msg->get_invisible_rendered_body_text_array()}];
  $v{rawbody} = [@{$pms->get_decoded_body_text_array()}];
  my (@html, @htmltexts);
  for my $h (@{$pms->{html_all}}) {
    for my $n (qw(length html_length non_space_len ratio image_area min_size max_size
      closed_extra_ratio bad_tag_ratio non_element_ratio obfuscation_ratio backhair_count
      font_low_contrast font_invalid_color font_face_bad form_action_mailto embeds)) {
      push @html, sprintf("%s %.4f", $n, $h->{$n}) if defined $h->{$n};
    }
    for my $t (qw(html body head a p img div table td tr span font !doctype o:p center b style script title iframe meta)) {
      push @html, "inside $t $h->{inside}{$t}" if exists $h->{inside}{$t};
    }
    for my $l (qw(title comment script anchor)) {
      push @htmltexts, @{$h->{$l}} if $h->{$l};
    }
  }
  $v{html} = \@html;
  $v{htmltexts} = \@htmltexts;
  $pms->{conf}->{redirector_patterns} = [];
  my $detail = $pms->get_uri_detail_list();
  $v{urilist} = [$pms->get_uri_list()];
  my @detail;
  for my $k (keys %$detail) {
    my $d = $detail->{$k};
    my %order;
    @order{qw(parsed unlinked schemeless a area link img frame iframe embed script bgsound form base meta body table tr td domainkeys)} = 1 .. 20;
    push @detail, join(' ', $k, sort { $order{$a} <=> $order{$b} } grep { exists $order{$_} } keys %{$d->{types}});
    push @detail, map { "$k host $_ $d->{hosts}{$_}" } keys %{$d->{hosts}};
    push @detail, map { my ($a, $b) = ($k, $_); utf8::encode($a) if utf8::is_utf8($a); utf8::encode($b) if utf8::is_utf8($b); "$a anchor $b" } @{$d->{anchor_text}};
  }
  $v{uridetail} = \@detail;
  $pms->finish();
  $msg->finish();
  for my $k (keys %v) {
    $v{$k} = [map { esc($_ // '') } @{$v{$k}}];
  }
  return \%v;
}

my %want = map { $_ => 1 } split /,/, $views;
my $pid = open2(my $out, my $in, $dump);
my (%same, %total, %shown);
for my $file (@files) {
  print $in "$file\n";
  $in->flush();
  my (%ours, $view);
  while (defined(my $l = <$out>)) {
    chomp $l;
    last if $l eq '.';
    if ($l =~ /^=(.*)/) {
      $view = $1;
      $ours{$view} = [];
    } elsif ($l =~ /^ (.*)/) {
      push @{$ours{$view}}, $1;
    }
  }
  next if !%ours;
  my $theirs = theirs($file);
  for my $v (sort keys %ours) {
    next if (%want && !$want{$v}) || !exists $theirs->{$v};
    my ($o, $t) = ($ours{$v}, $theirs->{$v});
    if ($v =~ /^uri/) {
      $o = [sort @$o];
      $t = [sort @$t];
    }
    $total{$v}++;
    if (join("\n", @$o) eq join("\n", @$t)) {
      $same{$v}++;
      next;
    }
    next if $shown{$v}++ >= $show;
    print "# $v differs in $file\n";
    my $n = 0;
    if ($v =~ /^uri/) {
      my %o = map { $_ => 1 } @$o;
      my %t = map { $_ => 1 } @$t;
      print "#   theirs: $_\n" for grep { !$o{$_} } @$t;
      print "#     ours: $_\n" for grep { !$t{$_} } @$o;
      next;
    }
    for my $i (0 .. ($#$o > $#$t ? $#$o : $#$t)) {
      my ($a, $b) = ($o->[$i] // '(none)', $t->[$i] // '(none)');
      next if $a eq $b;
      my $at = 0;
      $at++ while $at < length($a) && substr($a, 0, $at + 1) eq substr($b, 0, $at + 1);
      my $from = $at > 60 ? $at - 60 : 0;
      print "#   [$i] at $at\n#   theirs: ", substr($b, $from, 200), "\n#     ours: ", substr($a, $from, 200), "\n";
      last if ++$n >= 2;
    }
  }
}
close $in;
waitpid($pid, 0);
my ($n, $bad) = (0, 0);
for my $v (sort keys %total) {
  my $p = 100 * ($same{$v} // 0) / $total{$v};
  my $line = sprintf("%s: %d of %d messages agree (%.2f %%)", $v, $same{$v} // 0, $total{$v}, $p);
  $n++;
  if (defined $tap) {
    my $ok = $p >= $tap;
    $bad++ if !$ok;
    print $ok ? '' : 'not ', "ok $n - $line\n";
  } else {
    print "$line\n";
  }
}
print "1..$n\n" if defined $tap;
exit($bad != 0);
