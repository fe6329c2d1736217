# The world that the Redmine tests ask about, run inside Redmine (`rails runner`), which then serves it.
# Every kind of reader meets every kind of issue: roles that see all, public or only own issues, roles limited to some
# trackers, groups, non-members, locked accounts; private and public, nested, closed and archived projects.

ActiveRecord::Base.connection.execute("PRAGMA journal_mode=MEMORY")
ActiveRecord::Base.connection.execute("PRAGMA synchronous=OFF")
ActiveRecord::Migration.verbose = false
ActiveRecord::Base.connection.migration_context.migrate
ActiveRecord::Base.descendants.each(&:reset_column_information)
ActionMailer::Base.perform_deliveries = false
ActiveJob::Base.queue_adapter = :inline # a second thread would find the database locked
Redmine::DefaultData::Loader.load("en")
Setting.rest_api_enabled = "1"
Setting.notified_events = []
Setting.issue_group_assignment = "1"
Setting.default_projects_public = "0"
Setting.autofetch_changesets = "0"

# Lambdas, because a method defined here would belong to every object of Redmine.
role = lambda do |name, visibility, permissions, trackers = nil|
  made = Role.new(:name => name, :issues_visibility => visibility)
  made.permissions = permissions
  made.set_permission_trackers(:view_issues, trackers) if trackers
  made.save!
  made
end

user = lambda do |login, options = {}|
  made = User.new(:firstname => login.capitalize, :lastname => "Test", :mail => "#{login.capitalize}@Example.test")
  made.login = login
  made.password = made.password_confirmation = SecureRandom.hex(12)
  made.admin = options.fetch(:admin, false)
  made.status = options.fetch(:status, User::STATUS_ACTIVE)
  made.save!
  made
end

project = lambda do |name, options = {}|
  made = Project.new(:name => name, :identifier => name.downcase.tr(" ", "-"))
  made.is_public = options.fetch(:public, false)
  made.enabled_module_names = options.fetch(:modules, %w(issue_tracking wiki news files))
  made.trackers = Tracker.all.to_a
  made.save!
  if options[:parent]
    made.set_parent!(options[:parent])
    made.inherit_members = options.fetch(:inherit, false)
    made.save!
  end
  made
end

member = lambda do |place, principal, *roles|
  Member.create!(:project => place, :principal => principal, :roles => roles)
end

bug, feature, support = Tracker.sorted.to_a
view = [:view_issues, :view_wiki_pages, :view_news, :view_files]

sees_all = role.("Sees all", "all", view + [:view_private_notes])
sees_public = role.("Sees public", "default", view)
sees_own = role.("Sees own", "own", view)
bugs_only = role.("Bugs only", "default", [:view_issues], [bug.id])
all_features = role.("All features", "all", [:view_issues, :view_news], [feature.id])
no_tracker = role.("No tracker", "all", [:view_issues], [])
reads_wiki = role.("Reads wiki", "default", [:view_wiki_pages])
nothing = role.("Nothing", "all", [])

admin = User.where(:admin => true).first
admin.must_change_passwd = false
admin.mail = "root@example.test"
admin.save!
Token.where(:user_id => admin.id, :action => "api").delete_all
Token.create!(:user => admin, :action => "api")
Token.where(:user_id => admin.id, :action => "api").update_all(:value => ENV.fetch("WORLD_KEY"))

ann, bob, cid, dan, fay, ivy, jon, kim, lou, max, ned, oda =
  %w(ann bob cid dan fay ivy jon kim lou max ned oda).map {|login| user.(login)}
hal = user.("hal", :admin => true)
eve = user.("eve")
gus = user.("gus", :status => User::STATUS_REGISTERED)

staff = Group.create!(:lastname => "Staff")
staff.users << fay << kim << eve
crew = Group.create!(:lastname => "Crew")
crew.users << lou << dan

apollo = project.("Apollo")
inside = project.("Apollo inside", :parent => apollo, :inherit => true)
apart = project.("Apollo apart", :parent => apollo)
open = project.("Open", :public => true)
tuned = project.("Tuned", :public => true)
wiki_only = project.("Wiki only", :public => true, :modules => %w(wiki))
closed = project.("Closed")
archived = project.("Archived")

member.(apollo, ann, sees_all)
member.(apollo, bob, sees_public)
member.(apollo, cid, sees_own)
member.(apollo, jon, bugs_only)
member.(apollo, ivy, all_features, sees_own)
member.(apollo, max, no_tracker)
member.(apollo, ned, nothing)
member.(apollo, oda, reads_wiki)
member.(apollo, eve, sees_all)
member.(apollo, staff, sees_public)
member.(apart, lou, sees_own, bugs_only)
member.(apart, staff, sees_own)
member.(apart, ann, sees_public, reads_wiki)
member.(open, bob, sees_own)
member.(open, crew, sees_all)
member.(open, ned, nothing)
member.(tuned, Group.non_member, bugs_only)
member.(tuned, cid, sees_public)
member.(closed, cid, sees_all)
member.(closed, crew, sees_public)
member.(archived, ann, sees_all)
eve.lock!

status, priority = IssueStatus.sorted.first, IssuePriority.first
[apollo, inside, apart, open, tuned, closed, archived, wiki_only].each_with_index do |place, number|
  authors = [ann, bob, cid, ivy, jon, lou, eve, dan]
  assignees = [nil, cid, staff, crew, nil, kim, bob, lou]
  8.times do |turn|
    next if place == wiki_only

    issue = Issue.new(
      :project => place, :tracker => [bug, feature, support][turn % 3], :author => authors[turn],
      :subject => "#{place.name} matter #{turn}", :status => status, :priority => priority,
      :description => "h2. Details\n\nThe *valve* of #{place.name} sticks.\n\n# first\n# second",
      :is_private => (turn + number).odd?, :assigned_to => assignees[(turn + number) % 8]
    )
    issue.save!(:validate => false)
    Issue.where(:id => issue.id).update_all(:updated_on => Time.utc(2026, 3, 1) + (number * 8 + turn).minutes)
  end
  if place.module_enabled?(:wiki)
    wiki = Wiki.find_or_create_by!(:project_id => place.id) {|made| made.start_page = "Wiki"}
    ["Handbook", "Über uns & Co"].each do |title|
      page = wiki.pages.build(:title => title)
      page.content = WikiContent.new(:text => "h1. #{title}\n\nHow #{place.name} works.", :author => ann)
      page.save!
    end
    Attachment.create!(:container => wiki.pages.first, :author => ann, :filename => "plan.md",
                       :file => "# Plan\n\nLaunch #{place.name} in May.", :content_type => "text/markdown")
  end
  if place.module_enabled?(:news)
    News.create!(:project => place, :author => ann, :title => "#{place.name} flies", :description => "It *flew*.")
  end
end

note = lambda do |issue, author, text, hidden|
  journal = Journal.new(:journalized => issue, :user => author, :notes => text, :private_notes => hidden)
  journal.notify = false
  journal.save!
end

talk = apollo.issues.order(:id).first
note.(talk, bob, "A comment for all.", false)
note.(talk, ann, "A hidden remark.", true)
Attachment.create!(:container => talk, :author => bob, :filename => "valve.txt", :file => "Valve drawing.",
                   :content_type => "text/plain")
Attachment.create!(:container => apollo, :author => ann, :filename => "terms.md", :file => "# Terms\n\nOf Apollo.",
                   :content_type => "text/markdown")
Attachment.create!(:container => talk, :author => bob, :filename => "valve.bin", :file => "\x00\x01",
                   :content_type => "application/octet-stream")

closed.update_columns(:status => Project::STATUS_CLOSED)
archived.update_columns(:status => Project::STATUS_ARCHIVED)

# Debian ships WEBrick, but Redmine's bundle does not name it.
$LOAD_PATH.push(*Dir["/usr/share/rubygems-integration/all/gems/webrick-*/lib"])
require "rack/handler/webrick"
# Without this every answer waits 40 ms for the client's delayed acknowledgement.
WEBrick::GenericServer.prepend(Module.new do
  def accept_client(server)
    super&.tap {|socket| socket.setsockopt(Socket::IPPROTO_TCP, Socket::TCP_NODELAY, 1)}
  end
end)
Rails.logger.level = Logger::ERROR
quiet = WEBrick::Log.new(nil, WEBrick::BasicLog::FATAL)
Rack::Handler::WEBrick.run(
  Rails.application, :Host => "127.0.0.1", :Port => ENV.fetch("WORLD_PORT").to_i, :Logger => quiet, :AccessLog => []
)
